"""The order in which the contexts of a split are read, and which of them are kept whole.

1. Contexts with anything to count (two tokens or more) are sorted by length, longest first, so that
   there is little padding, and cut into batches.
2. The pool: a few random contexts, the same for all units, kept at every token. They are the random
   exemplars and, sorted by a unit's peak, its quantile exemplars; units can be compared on them.
3. The sample: random tokens of the whole split, from which quantiles and densities are estimated.

All of this follows from the contexts and the seed, so that shards and a resumed pass agree on it.
Batches are dealt to shards in turn, and the round goes on from one split to the next: a split of few
batches would otherwise always be the first shard's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from ..corpus import SPLITS, Contexts, Split
from .shards.shard import WHOLE, Shard

BATCH = 64
"""Contexts per forward pass. With 64, top-k updates cost a fifth less than with 32; memory grows in
proportion."""
BATCH_TOKENS = 64 * BATCH
"""Tokens per forward pass: longer contexts are fewer, so that memory does not grow with their length."""


class LengthGroup(NamedTuple):
    """Neighbouring contexts of a batch that have the same length."""

    start: int
    stop: int
    length: int


class SampledTokens(NamedTuple):
    """Tokens of a batch that go to neighbouring slots of the sample, from `slot` on."""

    slot: int
    context: Int[np.ndarray, " sampled"]
    position: Int[np.ndarray, " sampled"]


class PooledContexts(NamedTuple):
    """Contexts of a batch that are in the pool, and the slot of each."""

    context: Int[np.ndarray, " pooled"]
    slot: Int[np.ndarray, " pooled"]


@dataclass(frozen=True)
class Batch:
    """What one forward pass reads; `rows` are contexts, numbered within their split.

    Attributes:
        turn: how many batches of the same shard come before it.
    """

    number: int
    turn: int
    rows: Int[np.ndarray, " batch"]
    tokens: Int[np.ndarray, "batch seq"]
    groups: tuple[LengthGroup, ...]
    pool: PooledContexts
    sample: SampledTokens

    @cached_property
    def lengths(self) -> Int[np.ndarray, " batch"]:
        """Real tokens of each context, position 0 included."""
        return np.concatenate([np.full(g.stop - g.start, g.length) for g in self.groups])

    @property
    def n_tokens(self) -> int:
        """Real tokens, position 0 included."""
        return sum((group.stop - group.start) * group.length for group in self.groups)


@dataclass(frozen=True)
class BatchPlan:
    """The batches of one split.

    Attributes:
        rows: the split's contexts in the corpus's order; a context's number is its index here.
        order: the numbers in reading order.
        pool: numbers of the pool's contexts, ascending.
        sample: indices of the sample's tokens among all that count, in reading order, ascending.
        shard: which of the batches are read; pool and sample are then those of its contexts alone.
    """

    contexts: Contexts
    split: Split
    rows: Int[np.ndarray, " context"]
    order: Int[np.ndarray, " read"]
    pool: Int[np.ndarray, " pool"]
    sample: Int[np.ndarray, " sample"]
    shard: Shard = WHOLE

    @property
    def batch_rows(self) -> int:
        """Contexts of each batch but the last."""
        return batch_rows(self.contexts)

    @property
    def n_batches(self) -> int:
        """Number of batches of all shards."""
        return -(-len(self.order) // self.batch_rows)

    @property
    def n_turns(self) -> int:
        """Number of forward passes, which are those of the shard."""
        return len(range(self._first_batch, self.n_batches, self.shard.count))

    @cached_property
    def batches_before(self) -> int:
        """Number of batches of the splits before this one, which are dealt out first."""
        before = SPLITS[: SPLITS.index(self.split)]
        lengths = (self.contexts.length[self.contexts.rows_of(split)] for split in before)
        return sum(-(-int((length > 1).sum()) // self.batch_rows) for length in lengths)

    @property
    def _first_batch(self) -> int:
        """The number in this split of the shard's first batch."""
        return (self.shard.number - 1 - self.batches_before) % self.shard.count

    @property
    def n_tokens(self) -> int:
        """Real tokens of the split's shard; those that no pass needs to read count for the first."""
        own = self.tokens_before(self.n_turns)
        if self.shard.number > 1:
            return own
        whole = int(self.contexts.length[self.rows].sum(dtype=np.int64))
        return own + whole - int(self.batch_tokens.sum())

    @property
    def batch_tokens(self) -> Int[np.ndarray, " batch"]:
        """Real tokens of each batch of all shards."""
        lengths = self._lengths
        starts = np.arange(0, len(lengths), self.batch_rows)
        return np.add.reduceat(lengths, starts) if len(lengths) else lengths

    def tokens_before(self, turn: int) -> int:
        """Real tokens of the shard's first batches."""
        return int(self.batch_tokens[self._first_batch :: self.shard.count][:turn].sum())

    def batches(self, first_turn: int = 0) -> Iterator[Batch]:
        """The shard's batches in reading order, without as many as are given."""
        lengths = self._lengths
        counted_before = np.concatenate([[0], np.cumsum(lengths - 1)])
        for turn in range(first_turn, self.n_turns):
            number = self._first_batch + turn * self.shard.count
            start = number * self.batch_rows
            stop = min(start + self.batch_rows, len(self.order))
            yield self._batch(number, turn, lengths[start:stop], counted_before[start : stop + 1])

    def of(self, shard: Shard) -> BatchPlan:
        """The plan of one shard; a slot of its pool or sample is a place in its own list."""
        plan = replace(self, shard=shard)
        own = np.arange(self.n_batches) % shard.count == plan._first_batch
        place = np.empty(len(self.rows), np.int64)
        place[self.order] = np.arange(len(self.order))
        counted = np.cumsum(self._lengths - 1)
        pool = self.pool[own[place[self.pool] // self.batch_rows]]
        sample = self.sample[
            own[np.searchsorted(counted, self.sample, side="right") // self.batch_rows]
        ]
        return replace(plan, pool=pool, sample=sample)

    @property
    def _lengths(self) -> Int[np.ndarray, " read"]:
        """Tokens of the contexts in reading order."""
        return self.contexts.length[self.rows[self.order]].astype(np.int64)

    def _batch(
        self,
        number: int,
        turn: int,
        lengths: Int[np.ndarray, " batch"],
        counted: Int[np.ndarray, " bound"],
    ) -> Batch:
        """Build a batch.

        Args:
            lengths: tokens of each of its contexts, longest first.
            counted: tokens of the split that count before each of its contexts, and before its end.
        """
        rows = self.order[number * self.batch_rows :][: len(lengths)]
        tokens = self.contexts.tokens[self.rows[rows], : lengths[0]]
        # Contexts of equal length are neighbours, because lengths descend.
        bounds = [0, *(np.flatnonzero(np.diff(lengths)) + 1).tolist(), len(rows)]
        groups = tuple(
            LengthGroup(start, stop, int(lengths[start])) for start, stop in pairwise(bounds)
        )
        # The pool's contexts among them.
        pooled = np.flatnonzero(np.isin(rows, self.pool))
        pool = PooledContexts(pooled, np.searchsorted(self.pool, rows[pooled]))
        # The sample's tokens among them. Position 0 does not count, hence the + 1.
        low, high = np.searchsorted(self.sample, counted[[0, -1]])
        sampled = self.sample[low:high]
        context = np.searchsorted(counted, sampled, side="right") - 1
        sample = SampledTokens(int(low), context, sampled - counted[context] + 1)
        return Batch(number, turn, rows, tokens, groups, pool, sample)


def make_plan(contexts: Contexts, split: Split, *, pool: int, sample: int, seed: int) -> BatchPlan:
    """Plan one split's pass with at most `pool` contexts and `sample` tokens kept whole."""
    rows = contexts.rows_of(split)
    lengths = contexts.length[rows].astype(np.int64)
    order = reading_order(lengths)
    countable = np.sort(order)
    n_counted = int((lengths[countable] - 1).sum())
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    pooled = countable[_draw(rng, len(countable), pool)]
    return BatchPlan(contexts, split, rows, order, pooled, _draw(rng, n_counted, sample))


def batch_rows(contexts: Contexts) -> int:
    """Contexts per forward pass."""
    return min(BATCH, max(BATCH_TOKENS // contexts.tokens.shape[1], 1))


def reading_order(length: Int[np.ndarray, " context"]) -> Int[np.ndarray, " read"]:
    """Numbers of the contexts with anything to count, longest first."""
    countable = np.flatnonzero(length > 1)
    return countable[np.argsort(-length[countable].astype(np.int64), kind="stable")]


def _draw(rng: np.random.Generator, n: int, size: int) -> Int[np.ndarray, " drawn"]:
    """`size` of range(n), or all, in ascending order."""
    if not n:
        return np.zeros(0, np.int64)
    return np.sort(rng.choice(n, min(size, n), replace=False))
