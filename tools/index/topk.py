"""The contexts on which each unit peaks highest, with the activation at every token, kept while
text streams by.

1. A context's value is its highest activation on this side; a key holds it in its upper 32 bits, as
   a whole number of the same order, and below it the context's number, so that ties fall to the
   earlier context and no two keys agree.
2. A batch's keys are merged with those kept: the k-th largest of both is the bar, each kept key
   below it makes room for one new key above it, and only then are that context's activations
   copied.
3. Units whose bar no context of the batch reaches are left alone; after the first batches that is
   nearly all of them.

As the result is a function of the set of contexts alone, two disjoint parts merge into exactly the
whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from .float16_file import to_float16, transposed_copy

_LOW = (1 << 32) - 1
_EMPTY = np.iinfo(np.int64).min


class RowCopies(NamedTuple):
    """Activations to copy: of a context of the batch and a unit, into a slot, counted over all units."""

    context: Int[np.ndarray, " new"]
    unit: Int[np.ndarray, " new"]
    slot: Int[np.ndarray, " new"]


@dataclass
class TopK:
    """For each unit of a site, the k best contexts of one side, in no order.

    Attributes:
        keys: value and context in one number; free slots have keys below all others.
        rows: raw activations by position, float16; 0 at position 0 and behind the context's end.
    """

    keys: Int[np.ndarray, "unit k"]
    rows: Float[np.ndarray, "unit k seq"]

    @classmethod
    def empty(cls, n_units: int, k: int, context_len: int) -> TopK:
        """No contexts yet."""
        keys = np.broadcast_to(_EMPTY + np.arange(k, dtype=np.int64), (n_units, k)).copy()
        return cls(keys, np.zeros((n_units, k, context_len), np.float16))

    def select(
        self,
        best: Float[np.ndarray, "context unit"],
        contexts: Int[np.ndarray, " context"],
        block: slice,
    ) -> RowCopies:
        """Take a batch's values on this side for a block of the units; tells which activations are to be copied."""
        first, k = block.start, self.keys.shape[1]
        best = best[:, block]
        units = np.flatnonzero((best >= _value_of(self.keys[block].min(axis=1))).any(axis=0))
        kept, new = self.keys[first + units], sort_keys(best[:, units].T, contexts)
        n_new = new.shape[1]
        bars = np.partition(np.concatenate([kept, new], axis=1), n_new, axis=1)[:, n_new, None]
        leaving, coming = np.flatnonzero(kept < bars), np.flatnonzero(new >= bars)
        kept.reshape(-1)[leaving] = new.reshape(-1)[coming]
        units += first
        self.keys[units] = kept
        unit = units[
            coming // n_new
        ]  # the same as units[leaving // k]: each that leaves makes room for one
        return RowCopies(coming % n_new, unit, unit * k + leaving % k)

    def ordered(
        self,
    ) -> tuple[
        Float[np.ndarray, "unit k"], Int[np.ndarray, "unit k"], Float[np.ndarray, "unit k seq"]
    ]:
        """Values, contexts and activations, best first; all slots must be taken."""
        order = np.argsort(~self.keys, axis=1)
        keys = np.take_along_axis(self.keys, order, axis=1)
        flat = (np.arange(len(keys))[:, None] * keys.shape[1] + order).reshape(-1)
        rows = _as_lines(self.rows.reshape(-1, self.rows.shape[2]))[flat]
        return _value_of(keys), _context_of(keys), rows.view(np.float16).reshape(self.rows.shape)


def update_topk(
    tops: Sequence[TopK],
    bests: Sequence[Float[np.ndarray, "context unit"]],
    contexts: Int[np.ndarray, " context"],
    values: Float[np.ndarray, "context seq unit"],
    lengths: Int[np.ndarray, " context"],
    block: slice,
) -> None:
    """Take a batch into the sides of a site, for a block of its units.

    Args:
        bests: for each side, each context's value.
        contexts: their numbers.
        values: raw activations, of which `lengths` tokens are real.
    """
    sides = [top.select(best, contexts, block) for top, best in zip(tops, bests, strict=True)]
    side = np.repeat(np.arange(len(sides)), [len(moves.slot) for moves in sides])
    context, unit, slot = (np.concatenate(parts) for parts in zip(*sides, strict=True))
    # Both sides together, context by context and unit by unit, as the activations lie in memory:
    # every cache line is fetched once, which is what this costs.
    order = np.lexsort((unit, context))
    side, slot = side[order], slot[order]
    rows = _as_lines(_gathered(values, context[order], unit[order], lengths, tops[0].rows.shape[2]))
    for number, top in enumerate(tops):
        ours = np.flatnonzero(side == number)
        _as_lines(top.rows.reshape(-1, top.rows.shape[2]))[slot[ours]] = rows[ours]


def _gathered(
    values: Float[np.ndarray, "context seq unit"],
    context: Int[np.ndarray, " new"],
    unit: Int[np.ndarray, " new"],
    lengths: Int[np.ndarray, " context"],
    seq: int,
) -> Float[np.ndarray, "new seq"]:
    """Activations of (context, unit) pairs, contexts ascending; 0 at position 0 and behind the context's end."""
    fresh = np.zeros((seq, len(unit)), np.float32)
    bounds = np.searchsorted(context, np.arange(len(values) + 1)).tolist()
    for number, (start, stop) in enumerate(pairwise(bounds)):
        if start < stop:
            length = lengths[number]
            fresh[1:length, start:stop] = values[number, 1:length].take(unit[start:stop], axis=1)
    return transposed_copy(to_float16(fresh))


def merge_topk(a: TopK, b: TopK) -> TopK:
    """The k best of both; a and b are of disjoint contexts."""
    keys, rows = np.concatenate([a.keys, b.keys], axis=1), np.concatenate([a.rows, b.rows], axis=1)
    best = np.argsort(~keys, axis=1)[
        :, : a.keys.shape[1]
    ]  # ~ turns the order round and, unlike -, has no overflow
    return TopK(
        np.take_along_axis(keys, best, axis=1), np.take_along_axis(rows, best[..., None], axis=1)
    )


def sort_keys(
    values: Float[np.ndarray, "unit context"], contexts: Int[np.ndarray, " context"]
) -> Int[np.ndarray, "unit context"]:
    """One whole number for each value and context, in the order of the values."""
    bits = (np.ascontiguousarray(values, np.float32) + np.float32(0)).view(np.int32)  # -0.0 is 0.0
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return (ordered.astype(np.int64) << 32) | (_LOW - contexts.astype(np.int64))


def _value_of(keys: Int[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """The values of keys; minus infinity or NaN-free lowest for free slots."""
    ordered = (keys >> 32).astype(np.int32)
    values = (ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).view(np.float32)
    return np.where(keys < _EMPTY + (1 << 32), np.float32(-np.inf), values)


def _context_of(keys: Int[np.ndarray, "*shape"]) -> Int[np.ndarray, "*shape"]:
    return (_LOW - (keys & _LOW)).astype(np.int32)


def _as_lines(rows: Float[np.ndarray, "row seq"]) -> np.ndarray:
    """Each row as one item: numpy copies those several times faster than rows of numbers."""
    return np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1] * rows.itemsize)))[:, 0]
