"""For each unit, the contexts with its highest peaks and the activation at every token of them.

1. A context's value is its highest activation on one side. A sort key holds the value in its upper
   32 bits, as a whole number of the same order, and the context's number below it, so that ties
   fall to the earlier context and no two keys are equal.
2. A batch's keys are merged with the stored ones: the k-th largest of both is the threshold, each
   stored key below it makes room for one new key above it, and only then are the activations of
   that context copied.
3. Units whose lowest stored value no context of the batch reaches are skipped; after the first
   batches that is nearly all of them.

The result is a function of the set of contexts alone, so the results of two disjoint parts merge
exactly into that of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

_LOW = (1 << 32) - 1
_EMPTY = np.iinfo(np.int64).min


CopyRows = Callable[
    [Int[np.ndarray, " new"], Int[np.ndarray, " new"], int], Float[np.ndarray, "new seq"]
]
"""`BatchActivations.rows`."""


class RowCopies(NamedTuple):
    """Activations to copy: of a context of the batch and a unit, into a slot of all units' k."""

    context: Int[np.ndarray, " new"]
    unit: Int[np.ndarray, " new"]
    slot: Int[np.ndarray, " new"]


class RankedContexts(NamedTuple):
    """Each unit's contexts, best first: their values, their numbers and raw activations."""

    values: Float[np.ndarray, "unit k"]
    contexts: Int[np.ndarray, "unit k"]
    activations: Float[np.ndarray, "unit k seq"]


@dataclass
class TopK:
    """For each unit of a site, the k best contexts of one side, in no order.

    Attributes:
        keys: value and context in one number; empty slots have keys below all others.
        rows: raw activations by position, float16; 0 at position 0 and after the context's end.
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
        """Merge a batch's values for a block of units; returns the activations to copy."""
        k = self.keys.shape[1]
        best = best[:, block]
        # 3. The units in which some context of the batch may enter.
        lowest = _value_of(self.keys[block].min(axis=1))
        units = np.flatnonzero((best >= lowest).any(axis=0))
        stored, new = self.keys[block][units], sort_keys(best[:, units].T, contexts)
        # 2. Of n_new + k keys, the k largest are those from index n_new on.
        n_new = new.shape[1]
        both = np.concatenate([stored, new], axis=1)
        threshold = np.partition(both, n_new, axis=1)[:, n_new, None]
        leaving, entering = np.flatnonzero(stored < threshold), np.flatnonzero(new >= threshold)
        stored.reshape(-1)[leaving] = new.reshape(-1)[entering]
        units += block.start
        self.keys[units] = stored
        # Each unit has as many leaving as entering keys, so `leaving // k` gives the same units.
        unit = units[entering // n_new]
        return RowCopies(entering % n_new, unit, unit * k + leaving % k)

    def ranked(self) -> RankedContexts:
        """All contexts, best first; no slot may be empty."""
        order = np.argsort(~self.keys, axis=1)  # unlike -, ~ cannot overflow
        keys = np.take_along_axis(self.keys, order, axis=1)
        flat = (np.arange(len(keys))[:, None] * keys.shape[1] + order).reshape(-1)
        rows = _as_items(self.rows.reshape(-1, self.rows.shape[2]))[flat]
        activations = rows.view(np.float16).reshape(self.rows.shape)
        return RankedContexts(_value_of(keys), _context_of(keys), activations)


def update_topk(
    tops: Sequence[TopK],
    bests: Sequence[Float[np.ndarray, "context unit"]],
    contexts: Int[np.ndarray, " context"],
    copy_rows: CopyRows,
    block: slice,
) -> None:
    """Merge a batch into the sides of a site, for a block of its units.

    Args:
        bests: for each side, each context's value.
        contexts: their numbers.
        copy_rows: called with contexts of the batch in ascending order, a unit for each, and the
            length of a row.
    """
    copies = [top.select(best, contexts, block) for top, best in zip(tops, bests, strict=True)]
    side = np.repeat(np.arange(len(copies)), [len(of_side.slot) for of_side in copies])
    context, unit, slot = (np.concatenate(parts) for parts in zip(*copies, strict=True))
    # Both sides are copied together, context by context and unit by unit, in the order of memory.
    # Every cache line is then fetched once, which is the main cost here.
    order = np.lexsort((unit, context))
    side, slot = side[order], slot[order]
    seq = tops[0].rows.shape[2]
    rows = _as_items(copy_rows(context[order], unit[order], seq))
    for number, top in enumerate(tops):
        of_side = np.flatnonzero(side == number)
        _as_items(top.rows.reshape(-1, seq))[slot[of_side]] = rows[of_side]


def merge_topk(left: TopK, right: TopK) -> TopK:
    """The k best of both, which must be of disjoint contexts."""
    keys = np.concatenate([left.keys, right.keys], axis=1)
    rows = np.concatenate([left.rows, right.rows], axis=1)
    best = np.argsort(~keys, axis=1)[:, : left.keys.shape[1]]
    return TopK(
        np.take_along_axis(keys, best, axis=1), np.take_along_axis(rows, best[..., None], axis=1)
    )


def sort_keys(
    values: Float[np.ndarray, "unit context"], contexts: Int[np.ndarray, " context"]
) -> Int[np.ndarray, "unit context"]:
    """One whole number for each value and context, in the order of the values."""
    bits = (np.ascontiguousarray(values, np.float32) + np.float32(0)).view(np.int32)  # -0.0 is 0.0
    # Negative floats sort in reverse by their bits, so all bits but the sign are flipped.
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return (ordered.astype(np.int64) << 32) | (_LOW - contexts.astype(np.int64))


def _value_of(keys: Int[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """The values in keys; minus infinity for empty slots."""
    ordered = (keys >> 32).astype(np.int32)
    values = (ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).view(np.float32)
    return np.where(keys < _EMPTY + (1 << 32), np.float32(-np.inf), values)


def _context_of(keys: Int[np.ndarray, "*shape"]) -> Int[np.ndarray, "*shape"]:
    return (_LOW - (keys & _LOW)).astype(np.int32)


def _as_items(rows: Float[np.ndarray, "row seq"]) -> Shaped[np.ndarray, " row"]:
    """Each row as one item: numpy copies those several times faster than rows of numbers."""
    return np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1] * rows.itemsize)))[:, 0]
