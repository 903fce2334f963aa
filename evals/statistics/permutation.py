"""Could this r come from a prediction that has nothing to do with these contexts?

1. Permute whole contexts of the prediction against the truth, 1,999 times, position by position.
   Structure inside a context (bursts, a trend with position) survives; only the pairing of contexts
   is lost.
2. Contexts differ in length: a pair counts at the positions where both have a token. r of a draw is
   exact over these positions. They are fewer than those of the observed r, which makes the null a
   little wider and p a little larger.
3. A draw is a sum over pairs (context, partner) of six sums. Six Gram matrices [contexts, contexts]
   hold the sums of all pairs, and a draw reads one entry per row: 1,999 draws cost as much as a
   dozen products.
4. p = (1 + draws with r at least as large) / 2,000, one-sided. If no draw is, the tail of the draws
   is fitted (`pareto_tail`), since 1/2,000 could not survive Benjamini-Hochberg over a hundred
   targets.

One document of each group of near-duplicates is kept: their contexts say the same twice, and would
make the null too narrow. Contexts of one document are permuted like any others. Two signals that both
drift from document to document can therefore look related; the interval over documents guards against
that.
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
"""Draws this close to the observed r reach it: sums in another order differ by rounding."""


class PermutationTest(NamedTuple):
    """Outcome of the test."""

    observed: float
    p: float
    fitted: bool
    """Whether p is from the fitted tail, because no draw reached the observed r."""
    mean: float
    """Mean r of the draws: the floor *shuffled*."""


def permutation_test(sample: Sample, seed: int = 0, draws: int = DRAWS) -> PermutationTest:
    """One-sided p of the sample's r against the same prediction with whole contexts permuted."""
    sample = sample.without_duplicates()
    observed, null = pearson(sample), permuted_r(sample, seed, draws)
    reached = int((null >= observed - _TIE).sum())
    p = (1 + reached) / (1 + draws)
    if reached == 0:
        p = min(p, tail_probability(null, observed))
    return PermutationTest(observed, p, reached == 0, float(null.mean()))


def permuted_r(sample: Sample, seed: int = 0, draws: int = DRAWS) -> Float[np.ndarray, " draws"]:
    """r of each draw, over the positions where a context and its partner both have a token."""
    sample = sample.without_duplicates()
    size = len(sample)
    x, y = standardise(sample.predicted, sample.mask), standardise(sample.true, sample.mask)
    ones = sample.mask.astype(np.float64)
    # 1. the six sums of every pair [context, partner], in the order of `correlation`
    pairs = ((ones, ones), (ones, x), (y, ones), (ones, x * x), (y * y, ones), (y, x))
    grams = ((own @ other.T).ravel() for own, other in pairs)  # one at a time: they are large
    # 2. where the pairs of each draw are in a flattened Gram matrix, [draws, contexts]
    entries = permutations(size, seed, draws) + size * np.arange(size)
    # 3. sums and r of each draw
    sums = np.stack([gram.take(entries).sum(axis=1) for gram in grams], axis=1)
    return pearson_from_moments(sums)


def permutations(contexts: int, seed: int, draws: int = DRAWS) -> Int[np.ndarray, "draws contexts"]:
    """The partner of each context in each draw."""
    rows = np.tile(np.arange(contexts), (draws, 1))
    return np.random.default_rng(seed).permuted(rows, axis=1, out=rows)
