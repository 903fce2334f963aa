"""In what order the contexts of a split are read, and which of them are kept whole.

1. Contexts with anything to count (two tokens or more) are sorted by length, longest first, so that
   a batch is hardly padded, and cut into batches.
2. The pool: a few contexts drawn at random, the same for all units, kept at every token. They are
   the random exemplars, and sorted by a unit's peak they are its quantile exemplars; units can be
   compared on them.
3. The sample: tokens drawn at random from the whole split, from which quantiles and densities are
   estimated.

All of this follows from the contexts and the seed, so that shards and a resumed pass agree on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from ..corpus import SPLITS, Contexts, Split

BATCH = 64
"""Contexts a forward pass. Twice as many as 32 save a fifth of the top-k updates; memory is in proportion."""


class LengthGroup(NamedTuple):
    """Neighbouring contexts of a batch that have the same length."""

    start: int
    stop: int
    length: int


class KeptTokens(NamedTuple):
    """Tokens (or contexts, at position 0) of a batch that go to neighbouring slots from `slot` on."""

    slot: int
    context: Int[np.ndarray, " kept"]
    position: Int[np.ndarray, " kept"]


@dataclass(frozen=True)
class Batch:
    """What one forward pass reads: `rows` are contexts, numbered within their split."""

    number: int
    rows: Int[np.ndarray, " batch"]
    tokens: Int[np.ndarray, "batch seq"]
    groups: tuple[LengthGroup, ...]
    pool: KeptTokens
    sample: KeptTokens

    @property
    def n_tokens(self) -> int:
        """Real tokens, position 0 included."""
        return sum((run.stop - run.start) * run.length for run in self.groups)


@dataclass(frozen=True)
class BatchPlan:
    """The batches of one split.

    Attributes:
        rows: the split's contexts in the corpus's order; a context's number is its place here.
        order: the numbers in reading order.
        pool: numbers of the pool's contexts, ascending.
        sample: places of the sample's tokens among all that count, in reading order, ascending.
    """

    contexts: Contexts
    split: Split
    rows: Int[np.ndarray, " context"]
    order: Int[np.ndarray, " read"]
    pool: Int[np.ndarray, " pool"]
    sample: Int[np.ndarray, " sample"]

    @property
    def n_batches(self) -> int:
        """How many forward passes the split takes."""
        return -(-len(self.order) // BATCH)

    @property
    def n_tokens(self) -> int:
        """Real tokens of the split, those included that no pass needs to read."""
        return int(self.contexts.length[self.rows].sum(dtype=np.int64))

    @property
    def n_counted(self) -> int:
        """Tokens that statistics are over."""
        return int(self.contexts.length[self.rows].astype(np.int64).sum() - len(self.rows))

    def batches(self, first: int = 0, step: int = 1) -> Iterator[Batch]:
        """Batches from number `first` on; with a step, those of one shard."""
        lengths = self.contexts.length[self.rows[self.order]].astype(np.int64)
        counted_before = np.concatenate([[0], np.cumsum(lengths - 1)])
        for number in range(first, self.n_batches, step):
            span = slice(number * BATCH, min((number + 1) * BATCH, len(self.order)))
            yield self._batch(
                number, span, lengths[span], counted_before[span.start : span.stop + 1]
            )

    def _batch(
        self,
        number: int,
        span: slice,
        lengths: Int[np.ndarray, " batch"],
        counted: Int[np.ndarray, " bound"],
    ) -> Batch:
        rows = self.order[span]
        tokens = self.contexts.tokens[self.rows[rows], : lengths[0]]
        ends = [*(np.flatnonzero(np.diff(lengths)) + 1).tolist(), len(rows)]
        starts = [0, *ends[:-1]]
        runs = tuple(
            LengthGroup(start, end, int(lengths[start]))
            for start, end in zip(starts, ends, strict=True)
        )
        return Batch(number, rows, tokens, runs, self._pooled(rows), self._sampled(counted))

    def _pooled(self, rows: Int[np.ndarray, " batch"]) -> KeptTokens:
        context = np.flatnonzero(np.isin(rows, self.pool))
        slots = np.searchsorted(self.pool, rows[context])
        return KeptTokens(-1, context, slots)

    def _sampled(self, counted: Int[np.ndarray, " bound"]) -> KeptTokens:
        low, high = np.searchsorted(self.sample, counted[[0, -1]])
        places = self.sample[low:high]
        context = np.searchsorted(counted, places, side="right") - 1
        return KeptTokens(int(low), context, places - counted[context] + 1)


def make_plan(contexts: Contexts, split: Split, *, pool: int, sample: int, seed: int) -> BatchPlan:
    """Plan one split's pass: at most `pool` contexts and `sample` tokens are kept whole."""
    rows = contexts.rows_of(split)
    lengths = contexts.length[rows].astype(np.int64)
    read = np.flatnonzero(lengths > 1)
    order = read[np.argsort(-lengths[read], kind="stable")]
    counted = int((lengths[read] - 1).sum())
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    return BatchPlan(
        contexts, split, rows, order, _drawn(rng, read, pool), _drawn(rng, counted, sample)
    )


def _drawn(
    rng: np.random.Generator, among: Int[np.ndarray, " n"] | int, size: int
) -> Int[np.ndarray, " drawn"]:
    n = among if isinstance(among, int) else len(among)
    return np.sort(rng.choice(among, min(size, n), replace=False)) if n else np.zeros(0, np.int64)
