"""Interference: how much do directions that share a space overlap?

1. Give every direction length 1. The cosine of two is what one feature adds to the reading of another.
2. Squared overlap: the mean of cos² over all pairs. K random directions in D dimensions have 1 / D. With
   K > D it cannot be below (K / D - 1) / (K - 1), which equally spread directions reach (a tight frame).
3. Dimensions of a feature: 1 / sum_j cos²_ij, itself included. It is 1 for a direction that is orthogonal
   to all others, 1/2 in an antipodal pair, and 2/5 in a regular pentagon.
4. The mean of cos² follows from the second moments of the unit vectors (it is |Uᵀ U|² less the diagonal),
   so that it says nothing of pairs and clusters; the mean of cos⁴ does.
5. Intervals of the means leave out folds of directions (`folds`): powers are summed for every two folds,
   and the sum without a fold is a subtraction.

Elhage et al., "Toy Models of Superposition" (2022); Welch, "Lower bounds on the maximum cross
correlation of signals" (1974) for the bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from jaxtyping import Float

from ..errors import UsageError
from .folds import FEWEST_FOLDS, fold_of_rows

BLOCK = 1024
"""Directions whose cosines with all others are in memory at once."""
FEWEST = 2 * FEWEST_FOLDS
MATCHING_STEPS = 8
"""After 8 the second moments of random directions are within 1 % of the given ones."""


class MeanOverPairs(NamedTuple):
    """A mean over every two directions, and the same without each fold of directions."""

    mean: float
    without: Float[np.ndarray, " fold"]

    @classmethod
    def of(cls, by_fold: Float[np.ndarray, "direction fold"], membership: np.ndarray) -> Self:
        """From each direction's sum over the directions of each fold."""
        sums = membership.T @ by_fold
        total, count = sums.sum(), len(by_fold)
        kept = count - membership.sum(axis=0)
        left_out = total - 2 * sums.sum(axis=1) + np.diagonal(sums)
        return cls(float(total / (count * (count - 1))), left_out / (kept * (kept - 1)))


@dataclass(frozen=True, eq=False)
class Overlap:
    """What the cosines of every two directions say.

    Attributes:
        squared, fourth: mean cos² and cos⁴ over pairs.
        bound: the least that `squared` can be.
        dimensions: the dimensions of each feature.
        nearest: the largest |cos| of each with any other, and `partner`, which one that is.
        signed: that cosine with its sign.
    """

    squared: MeanOverPairs
    fourth: MeanOverPairs
    bound: float
    dimensions: Float[np.ndarray, " direction"]
    nearest: Float[np.ndarray, " direction"]
    signed: Float[np.ndarray, " direction"]
    partner: np.ndarray


def overlap(directions: Float[np.ndarray, "direction width"], seed: int = 0) -> Overlap:
    """Overlap of every two directions, in blocks.

    Raises:
        UsageError: too few directions, or one that is 0.
    """
    count, width = directions.shape
    if count < FEWEST:
        raise UsageError(f"{count} directions given; an interval needs at least {FEWEST}")
    unit = unit_rows(directions)
    fold = fold_of_rows(np.arange(count), seed)
    membership = np.eye(fold.max() + 1)[fold]
    squared, fourth = (np.zeros((count, fold.max() + 1)) for _ in range(2))
    signed, partner = np.zeros(count), np.zeros(count, dtype=np.int64)
    for start in range(0, count, BLOCK):
        rows = np.arange(start, min(start + BLOCK, count))
        cosines = unit[rows] @ unit.T
        cosines[np.arange(len(rows)), rows] = 0
        squared[rows], fourth[rows] = cosines**2 @ membership, cosines**4 @ membership
        partner[rows] = np.abs(cosines).argmax(axis=1)
        signed[rows] = cosines[np.arange(len(rows)), partner[rows]]
    return Overlap(
        squared=MeanOverPairs.of(squared, membership),
        fourth=MeanOverPairs.of(fourth, membership),
        bound=max(0.0, (count / width - 1) / (count - 1)),
        dimensions=1 / (1 + squared.sum(axis=1)),
        nearest=np.abs(signed),
        signed=signed,
        partner=partner,
    )


def unit_rows(directions: Float[np.ndarray, "direction width"]) -> Float[np.ndarray, "n width"]:
    """The directions at length 1, in float64.

    Raises:
        UsageError: one is 0 or not finite.
    """
    lengths = np.linalg.norm(directions.astype(np.float64), axis=1)
    wrong = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if len(wrong):
        raise UsageError(
            f"direction {wrong[0]} has the length {lengths[wrong[0]]}; leave out what has none"
        )
    return directions / lengths[:, None]


def random_like(
    directions: Float[np.ndarray, "direction width"], seed: int, same_spectrum: bool = False
) -> Float[np.ndarray, "direction width"]:
    """As many random directions, of all of the space or with the given ones' second moments.

    The moments are those of the sample: overlap by chance would otherwise be counted twice.
    """
    drawn = np.random.default_rng(seed).standard_normal(directions.shape)
    if not same_spectrum:
        return drawn
    unit = unit_rows(directions)
    moments, axes = np.linalg.eigh(unit.T @ unit / len(unit))
    used = moments > 1e-9 * moments.max()
    target, axes = np.sqrt(moments[used]), axes[:, used]
    drawn = drawn[:, used]
    for _ in range(MATCHING_STEPS):
        values, vectors = np.linalg.eigh(drawn.T @ drawn / len(drawn))
        whitened = drawn @ (vectors / np.sqrt(values)) @ vectors.T
        drawn = unit_rows(whitened * target)  # which changes the moments a little
    return drawn @ axes.T
