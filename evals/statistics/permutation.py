"""Could this r come from a prediction that has nothing to do with these contexts?

1. Permute whole contexts of the prediction against the truth, 1,999 times, position by position.
   What holds inside a context (bursts, a trend with position) is in both and survives; only which
   context goes with which is lost.
2. Contexts of different length: a pair counts at the positions where both have a token, so a short
   context meets a long one over its own length. r of a draw is exact over all its jointly valid
   positions; it rests on fewer tokens than the observed r, which makes the null a little wider and
   p a little larger.
3. A draw is a sum over pairs (context, partner) of six sums. All pairs are had at once as six Gram
   matrices [contexts, contexts], and a draw reads one entry a row: 1,999 draws cost as much as a
   dozen products.
4. p = (1 + draws with r at least as large) / 2,000, one-sided. Where no draw gets there, the tail
   of the draws is fitted (`tail`), since 1/2,000 could not survive Benjamini-Hochberg over a
   hundred targets.

Contexts of one document are permuted like any others. Two signals that both drift from document to
document can therefore look related; the interval over documents is what guards against that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from .correlation import pearson, pearson_from_moments, standardise
from .pareto_tail import tail_probability
from .sample import Sample

DRAWS = 1_999
_TIE = 1e-12
"""Draws this close to the observed r count as reaching it: sums in another order differ in the last digits."""


class PermutationTest(NamedTuple):
    """Outcome of the test, and what the draws were like."""

    observed: float
    p: float
    fitted: bool
    """No draw reached the observed r: p comes from the fitted tail."""
    mean: float
    """Mean r of the draws: the floor *shuffled*."""


def permutation_test(sample: Sample, seed: int = 0, draws: int = DRAWS) -> PermutationTest:
    """One-sided p of the sample's r against the same prediction with whole contexts permuted."""
    observed, null = pearson(sample), permuted_r(sample, seed, draws)
    reached = int((null >= observed - _TIE).sum())
    p = (1 + reached) / (1 + draws)
    if reached == 0:
        p = min(p, tail_probability(null, observed))
    return PermutationTest(observed, p, reached == 0, float(null.mean()))


def permuted_r(sample: Sample, seed: int = 0, draws: int = DRAWS) -> Float[np.ndarray, " draws"]:
    """r of each draw, over the positions where a context and its partner both have a token."""
    size = len(sample)
    entries = permutations(size, seed, draws) + size * np.arange(
        size
    )  # of a flattened [context, partner]
    x, y = standardise(sample.predicted, sample.mask), standardise(sample.true, sample.mask)
    ones = sample.mask.astype(np.float64)
    pairs = (
        (ones, ones),
        (ones, x),
        (y, ones),
        (ones, x * x),
        (y * y, ones),
        (y, x),
    )  # order of `moments`
    return pearson_from_moments(
        np.stack(
            [(own @ other.T).ravel().take(entries).sum(axis=1) for own, other in pairs], axis=1
        )
    )


def permutations(contexts: int, seed: int, draws: int = DRAWS) -> Int[np.ndarray, "draws contexts"]:
    """The partner of each context in each draw."""
    rows = np.tile(np.arange(contexts), (draws, 1))
    return np.random.default_rng(seed).permuted(rows, axis=1, out=rows)
