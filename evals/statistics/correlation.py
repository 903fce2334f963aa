"""Pearson's r from six sums, so that a resample of ten thousand tokens costs six additions.

1. Predicted and true activations are centred and scaled once, over all tokens that count. That does
   not change r.
2. Each group of tokens (a context, a document) is reduced to n, sum x, sum y, sum x^2, sum y^2, sum
   xy.
3. The sums of a union of groups are the sums of their sums, and r follows from them. Bootstrap and
   permutation test repeat step 3 alone; step 1 keeps its subtractions well conditioned.

A constant has no correlation with anything: its r is exactly 0, never NaN.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from .sample import Sample

COUNT, X, Y, XX, YY, XY = range(6)
"""Columns of an array of moments."""

_CONSTANT_SPAN = 1e-12
"""A span below this share of the largest value is rounding in float64, not a signal."""
_CONSTANT_VARIANCE = 1e-12
"""The same for the variance of a union of groups, as a share of the whole sample's."""


def pearson(sample: Sample) -> float:
    """Pearson r over all tokens that count; exactly 0 if either side is constant."""
    return float(pearson_from_moments(document_moments(sample).sum(axis=0)))


def standardise(
    values: Float[np.ndarray, "contexts seq"], mask: Bool[np.ndarray, "contexts seq"]
) -> Float[np.ndarray, "contexts seq"]:
    """Mean 0 and variance 1 over the mask, 0 outside it; all zeros for a constant."""
    inside = values[mask]
    largest = np.abs(inside).max(initial=0.0)
    if largest == 0.0 or np.ptp(inside / largest) <= _CONSTANT_SPAN:
        return np.zeros_like(values)
    inside = inside / largest  # first, because the square of a large float64 overflows
    inside -= inside.mean()
    result = np.zeros_like(values)
    result[mask] = inside / np.sqrt(np.mean(inside**2))
    return result


def context_moments(sample: Sample) -> Float[np.ndarray, "contexts 6"]:
    """The six sums of each context, of standardised values."""
    x, y = standardise(sample.predicted, sample.mask), standardise(sample.true, sample.mask)
    terms = (sample.mask.astype(np.float64), x, y, x * x, y * y, x * y)
    return np.stack([term.sum(axis=1) for term in terms], axis=1)


def document_moments(sample: Sample) -> Float[np.ndarray, "documents 6"]:
    """The six sums of each document (or group of near-duplicates) that has a token that counts, in
    ascending order."""
    usable = sample.mask.any(axis=1)
    return group_sums(context_moments(sample)[usable], sample.unit[usable])


def group_sums(
    rows: Float[np.ndarray, "rows k"], group: Int[np.ndarray, " rows"]
) -> Float[np.ndarray, "groups k"]:
    """Sum of the rows of each group, groups in ascending order."""
    names, index = np.unique(group, return_inverse=True)
    sums = np.zeros((len(names), rows.shape[1]))
    np.add.at(sums, index, rows)
    return sums


def pearson_from_moments(moments: Float[np.ndarray, "*shape 6"]) -> Float[np.ndarray, "*shape"]:
    """Pearson r of each row of sums; 0 if either side is constant or there is no token."""
    n = np.maximum(moments[..., COUNT], 1.0)
    var_x = moments[..., XX] / n - (moments[..., X] / n) ** 2
    var_y = moments[..., YY] / n - (moments[..., Y] / n) ** 2
    covariance = moments[..., XY] / n - moments[..., X] * moments[..., Y] / n**2
    varies = (var_x > _CONSTANT_VARIANCE) & (var_y > _CONSTANT_VARIANCE)
    scale = np.sqrt(np.where(varies, var_x * var_y, 1.0))
    return np.where(varies, np.clip(covariance / scale, -1.0, 1.0), 0.0)
