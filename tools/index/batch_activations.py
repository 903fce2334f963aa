"""One site's activations over a batch, reduced where they are: in main memory or on an accelerator.

1. What a whole batch is reduced to has one number for each context and unit, 64 times fewer than the
   activations. An accelerator's activations stay there, and only these numbers leave it, and those
   that are kept: the best contexts of some units, the pool's contexts and the sample's tokens.
2. In main memory, passes over the activations are the main cost of indexing next to the model, so
   each is one numpy reduction over two contexts at a time, which stay in a core's cache between them.
3. Both give the same extremes and copies. Sums are of float32 sums of two contexts in main memory,
   and of float64 on an accelerator.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .batch_plan import Batch, LengthGroup
from .float16 import to_float16, transposed_copy
from .thread_team import Blocks

CHUNK = 3 << 16
"""Numbers per reduction, two contexts of 1,536 neurons: at 0.8 MB they stay in a core's cache from
one reduction to the next. Measured for 30 layers: 22 us per token, and 28 with 32 contexts at once.
"""


CONTEXTS_AT_ONCE = 16
"""Reduced at once on an accelerator, so that float32 copies of them take little of its memory."""


class Reduced(NamedTuple):
    """Of each context its extremes (float32), and of the batch its sums and sums of squares."""

    high: Float[np.ndarray, "context unit"]
    low: Float[np.ndarray, "context unit"]
    sums: Float[np.ndarray, "2 unit"]


class BatchActivations(Protocol):
    """Activations of `n_units` units. Position 0, and what follows a context's end, never counts."""

    @property
    def n_units(self) -> int:
        """Columns."""
        ...

    def reduce(self, blocks: Blocks) -> Reduced:
        """Extremes and sums, computed by a team of threads."""
        ...

    def rows(
        self, context: Int[np.ndarray, " new"], unit: Int[np.ndarray, " new"], seq: int
    ) -> Float[np.ndarray, "new seq"]:
        """Activations of (context, unit) pairs, contexts ascending, as float16; 0 where nothing counts."""
        ...

    def whole(self, context: int, seq: int) -> Float[np.ndarray, "seq unit"]:
        """All activations of a context as float16; 0 where nothing counts."""
        ...

    def tokens(
        self, context: Int[np.ndarray, " token"], position: Int[np.ndarray, " token"]
    ) -> Float[np.ndarray, "token unit"]:
        """Activations at some tokens as float16."""
        ...

    def first_not_finite(self) -> tuple[int, int] | None:
        """Context and unit of the first activation that counts and is no finite number."""
        ...


def batch_activations(values: Float[Tensor, "context seq unit"], batch: Batch) -> BatchActivations:
    """Activations as the device that holds them reads them best."""
    if values.device.type == "cuda":
        return DeviceActivations(values, batch)
    return HostActivations(values.float().cpu().numpy(), batch)


class HostActivations:
    """`BatchActivations` in main memory."""

    def __init__(self, values: Float[np.ndarray, "context seq unit"], batch: Batch) -> None:
        self._values, self._batch = values, batch

    @property
    def n_units(self) -> int:
        """As `BatchActivations.n_units`."""
        return self._values.shape[2]

    def reduce(self, blocks: Blocks) -> Reduced:
        """As `BatchActivations.reduce`."""
        values = self._values
        n_contexts, seq, n_units = values.shape
        high, low = (np.empty((n_contexts, n_units), np.float32) for _ in range(2))
        chunks = _chunks(self._batch, max(CHUNK // (seq * n_units), 1))
        total, squares = (np.empty((len(chunks), n_units), np.float32) for _ in range(2))

        def reduce_chunks(block: slice) -> None:
            for i in range(block.start, block.stop):
                start, stop, length = chunks[i]
                chunk = values[start:stop, 1:length]
                np.maximum.reduce(chunk, axis=1, out=high[start:stop])
                np.minimum.reduce(chunk, axis=1, out=low[start:stop])
                np.einsum("csu->u", chunk, out=total[i])
                np.einsum("csu,csu->u", chunk, chunk, out=squares[i])

        blocks(reduce_chunks, len(chunks), 1)
        sums = np.stack([part.sum(axis=0, dtype=np.float64) for part in (total, squares)])
        return Reduced(high, low, sums)

    def rows(
        self, context: Int[np.ndarray, " new"], unit: Int[np.ndarray, " new"], seq: int
    ) -> Float[np.ndarray, "new seq"]:
        """As `BatchActivations.rows`."""
        rows = np.zeros((len(unit), seq), np.float16)
        starts = np.searchsorted(context, np.arange(len(self._values) + 1)).tolist()
        for number, length in enumerate(self._batch.lengths.tolist()):
            start, stop = starts[number], starts[number + 1]
            if start < stop:
                columns = self._values[number, 1:length].take(unit[start:stop], axis=1)
                # One context's columns are turned while a core's cache holds them.
                rows[start:stop, 1:length] = transposed_copy(to_float16(columns))
        return rows

    def whole(self, context: int, seq: int) -> Float[np.ndarray, "seq unit"]:
        """As `BatchActivations.whole`."""
        length = self._batch.lengths[context]
        whole = np.zeros((seq, self.n_units), np.float16)
        whole[1:length] = to_float16(self._values[context, 1:length])
        return whole

    def tokens(
        self, context: Int[np.ndarray, " token"], position: Int[np.ndarray, " token"]
    ) -> Float[np.ndarray, "token unit"]:
        """As `BatchActivations.tokens`."""
        return to_float16(self._values[context, position])

    def first_not_finite(self) -> tuple[int, int] | None:
        """As `BatchActivations.first_not_finite`."""
        for context, length in enumerate(self._batch.lengths.tolist()):
            for _, unit in np.argwhere(~np.isfinite(self._values[context, 1:length]))[:1]:
                return context, int(unit)
        return None


class DeviceActivations:
    """`BatchActivations` on an accelerator, in the number format of the subject.

    Its operations are queued one after another, and wait only where a result goes to main memory.
    """

    def __init__(self, values: Float[Tensor, "context seq unit"], batch: Batch) -> None:
        self._values, self._batch = values, batch
        position = np.arange(values.shape[1])
        counted = (position > 0) & (position < batch.lengths[:, None])
        self._counted = torch.from_numpy(counted).to(values.device)

    @property
    def n_units(self) -> int:
        """As `BatchActivations.n_units`."""
        return self._values.shape[2]

    def reduce(self, blocks: Blocks) -> Reduced:
        """As `BatchActivations.reduce`; the threads are not used."""
        counted = self._counted[:, 1:, None]
        high, low, sums = list[Tensor](), list[Tensor](), list[Tensor]()
        for start in range(0, len(self._values), CONTEXTS_AT_ONCE):
            part = slice(start, start + CONTEXTS_AT_ONCE)
            chunk, counts = self._values[part, 1:].float(), counted[part]
            high.append(chunk.masked_fill(~counts, -torch.inf).amax(dim=1))
            low.append(chunk.masked_fill(~counts, torch.inf).amin(dim=1))
            chunk = chunk.masked_fill(~counts, 0.0)
            total = chunk.sum(dim=(0, 1), dtype=torch.float64)
            squares = chunk.square_().sum(dim=(0, 1), dtype=torch.float64)
            sums.append(torch.stack([total, squares]))
        extremes = torch.stack([torch.cat(high), torch.cat(low)]).cpu().numpy()
        return Reduced(extremes[0], extremes[1], torch.stack(sums).sum(dim=0).cpu().numpy())

    def rows(
        self, context: Int[np.ndarray, " new"], unit: Int[np.ndarray, " new"], seq: int
    ) -> Float[np.ndarray, "new seq"]:
        """As `BatchActivations.rows`."""
        if not len(unit):  # nearly always, after the first batches
            return np.zeros((0, seq), np.float16)
        contexts, units = self._there(context), self._there(unit)
        rows = self._values[contexts, :, units].float().to(torch.float16)
        return self._padded(rows.masked_fill(~self._counted[contexts], 0.0), seq)

    def whole(self, context: int, seq: int) -> Float[np.ndarray, "seq unit"]:
        """As `BatchActivations.whole`."""
        columns = self._values[context].T.float().to(torch.float16)
        return self._padded(columns.masked_fill(~self._counted[context], 0.0), seq).T

    def tokens(
        self, context: Int[np.ndarray, " token"], position: Int[np.ndarray, " token"]
    ) -> Float[np.ndarray, "token unit"]:
        """As `BatchActivations.tokens`."""
        found = self._values[self._there(context), self._there(position)]
        return found.float().to(torch.float16).cpu().numpy()

    def first_not_finite(self) -> tuple[int, int] | None:
        """As `BatchActivations.first_not_finite`."""
        return HostActivations(self._values.float().cpu().numpy(), self._batch).first_not_finite()

    def _there(self, numbers: Int[np.ndarray, " number"]) -> Int[Tensor, " number"]:
        return torch.from_numpy(numbers.astype(np.int64)).to(self._values.device)

    @staticmethod
    def _padded(rows: Float[Tensor, "row short"], seq: int) -> Float[np.ndarray, "row seq"]:
        padded = np.zeros((len(rows), seq), np.float16)
        padded[:, : rows.shape[1]] = rows.cpu().numpy()
        return padded


def _chunks(batch: Batch, size: int) -> list[LengthGroup]:
    """The batch's contexts of equal length, `size` or fewer at a time."""
    return [
        LengthGroup(start, min(start + size, group.stop), group.length)
        for group in batch.groups
        for start in range(group.start, group.stop, size)
    ]
