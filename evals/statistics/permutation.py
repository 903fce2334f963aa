"""Could this r come from a prediction that has nothing to do with these documents?

1. Permute whole documents of the prediction against the truth, 1,999 times: the first context of one
   against the first of the other, and so on, position by position. Structure inside a document
   (bursts, a topic, a trend with position) survives; only the pairing of documents is lost.
2. Documents and contexts differ in length: a pair counts at the positions where both have a token. r
   of a draw is exact over these positions. They are fewer than those of the observed r, which makes
   the null a little wider and p a little larger.
3. A draw is a sum over pairs (document, partner) of six sums. Six Gram matrices [documents,
   documents] hold the sums of all pairs, and a draw reads one entry per row: 1,999 draws cost as much
   as a dozen products.
4. p = (1 + draws with r at least as large) / 2,000, one-sided. If no draw is, the tail of the draws
   is fitted (`pareto_tail`), since 1/2,000 could not survive Benjamini-Hochberg over a hundred
   targets.

One document of each group of near-duplicates is kept: their contexts say the same twice, and would
make the null too narrow. Permuting single contexts, as earlier runs did, breaks up what the contexts
of one document share: of two unrelated signals that both drift from document to document, far more
than 5 % then have a p below .05 (docs/design/intervals.md). The floor *shuffled* still does it: it asks what
the position within a context is worth.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from jaxtyping import Float, Int

from .correlation import pearson, pearson_from_moments, standardise
from .pareto_tail import tail_probability
from .resampling import PermutedBlock
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
    """Mean r of the draws."""


def permutation_test(sample: Sample, seed: int = 0, draws: int = DRAWS) -> PermutationTest:
    """One-sided p of the sample's r against the same prediction with whole blocks permuted.

    The blocks are what the sample's resampling says: documents, or contexts in old runs.
    """
    sample = sample.without_duplicates()
    observed = pearson(sample)
    null = permuted_r(sample, seed, draws, sample.resampling.null)
    reached = int((null >= observed - _TIE).sum())
    p = (1 + reached) / (1 + draws)
    if reached == 0:
        p = min(p, tail_probability(null, observed))
    return PermutationTest(observed, p, reached == 0, float(null.mean()))


def permuted_r(
    sample: Sample, seed: int = 0, draws: int = DRAWS, block: PermutedBlock = "context"
) -> Float[np.ndarray, " draws"]:
    """r of each draw, over the positions where a block and its partner both have a token."""
    sample = sample.without_duplicates()
    x, y = standardise(sample.predicted, sample.mask), standardise(sample.true, sample.mask)
    ones = sample.mask.astype(np.float64)
    # 1. the six sums of every pair [block, partner], in the order of `correlation`
    pairs = ((ones, ones), (ones, x), (y, ones), (ones, x * x), (y * y, ones), (y, x))
    # one at a time: they are large
    if block == "context":
        size = len(sample)
        grams = ((own @ other.T).ravel() for own, other in pairs)
    else:
        documents = _Documents.of(sample)
        size = documents.size
        grams = (documents.gram(own, other).ravel() for own, other in pairs)
    # 2. where the pairs of each draw are in a flattened Gram matrix, [draws, blocks]
    entries = permutations(size, seed, draws) + size * np.arange(size)
    # 3. sums and r of each draw
    sums = np.stack([gram.take(entries).sum(axis=1) for gram in grams], axis=1)
    return pearson_from_moments(sums)


class _Documents(NamedTuple):
    """The contexts of each document in their order."""

    size: int
    """How many documents there are."""
    ranks: list[tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]]
    """For the first, second, ... context: the documents that have one, and its row."""

    @classmethod
    def of(cls, sample: Sample) -> Self:
        _, document = np.unique(sample.document, return_inverse=True)
        count = int(document.max()) + 1
        order = np.argsort(document, kind="stable")
        first = np.searchsorted(document[order], np.arange(count))
        rank = np.arange(len(order)) - first[document[order]]
        rows = [order[rank == k] for k in range(int(rank.max()) + 1)]
        return cls(count, [(document[chosen], chosen) for chosen in rows])

    def gram(
        self, own: Float[np.ndarray, "contexts seq"], other: Float[np.ndarray, "contexts seq"]
    ) -> Float[np.ndarray, "documents documents"]:
        """Sum of products of every two documents, over the contexts that both have."""
        sums = np.zeros((self.size, self.size))
        for documents, rows in self.ranks:
            sums[np.ix_(documents, documents)] += own[rows] @ other[rows].T
        return sums


def permutations(blocks: int, seed: int, draws: int = DRAWS) -> Int[np.ndarray, "draws blocks"]:
    """The partner of each block in each draw."""
    rows = np.tile(np.arange(blocks), (draws, 1))
    return np.random.default_rng(seed).permuted(rows, axis=1, out=rows)
