"""Intervals by resampling documents: tokens of one document depend on each other, documents do not.

1. Reduce each document to sums (for r: the six of `correlation`).
2. Draw the documents with replacement, 2,000 times, as multinomial counts.
3. Counts times sums is one matrix product, which gives the statistic of every resample.
4. The interval is the 2.5th to the 97.5th percentile (Efron & Tibshirani 1993, chapter 13). Two
   predictions are compared on the *same* resamples, so that a document that is hard for both
   cancels out (paired bootstrap).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .correlation import document_moments, pearson_from_moments
from .sample import Sample

RESAMPLES = 2_000
LEVEL = 0.95

Statistic = Callable[[Float[np.ndarray, "resamples k"]], Float[np.ndarray, " resamples"]]


class Interval(NamedTuple):
    """A value with its 95 % interval; no interval for fewer than two documents."""

    value: float
    low: float | None
    high: float | None


def bootstrap_r(sample: Sample, seed: int = 0) -> Interval:
    """Pearson r with its interval over documents."""
    return bootstrap(document_moments(sample), pearson_from_moments, seed)


def bootstrap_difference(
    sample: Sample, other: Float[np.ndarray, "contexts seq"], seed: int = 0
) -> Interval:
    """r of the sample's prediction minus r of another one, resampled together."""
    own_sums = document_moments(sample)
    other_sums = document_moments(sample.with_prediction(other))

    def difference(sums: np.ndarray) -> np.ndarray:
        return pearson_from_moments(sums[..., :6]) - pearson_from_moments(sums[..., 6:])

    return bootstrap(np.hstack([own_sums, other_sums]), difference, seed)


def bootstrap(
    sums: Float[np.ndarray, "documents k"], statistic: Statistic, seed: int = 0
) -> Interval:
    """Percentile interval of any statistic that is a function of sums over documents.

    Args:
        sums: one row per document.
        statistic: from rows of added sums to one number per row; must not return NaN.
    """
    value = float(statistic(sums.sum(axis=0, keepdims=True))[0])
    if len(sums) < 2:
        return Interval(value, None, None)
    draws = statistic(resample_counts(len(sums), seed) @ sums)
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))


def resample_counts(
    documents: int, seed: int, resamples: int = RESAMPLES
) -> Float[np.ndarray, "resamples documents"]:
    """How often each document is in each resample; every row adds up to the number of documents."""
    # n documents drawn with replacement: their counts are multinomial
    rng = np.random.default_rng(seed)
    return rng.multinomial(documents, np.full(documents, 1 / documents), size=resamples).astype(
        np.float64
    )
