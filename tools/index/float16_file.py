"""A fixed number of float16 arrays in a file, filled one by one: what a pass keeps whole and reads at its end."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float

from ..errors import CorruptError

_LARGEST = 65504.0
_PIECE = 1 << 15
"""Numbers a call: torch's own limit below which it starts no further threads, as ours are many already."""


def to_float16(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """As float16, with what is out of its range at the range's end."""
    if values.size and not (values.min() >= -_LARGEST and values.max() <= _LARGEST):
        values = np.clip(values, -_LARGEST, _LARGEST)
    source = torch.from_numpy(np.ascontiguousarray(values, np.float32)).view(-1)
    result = torch.empty(source.shape, dtype=torch.float16)
    for start in range(0, len(source), _PIECE):
        result[start : start + _PIECE] = source[start : start + _PIECE]
    return result.numpy().reshape(values.shape)


def transposed_copy(values: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "b a"]:
    """A transposed copy; torch goes block by block, numpy does not."""
    return torch.from_numpy(values).t().contiguous().numpy()


@dataclass
class SlotFile:
    """`filled` tells which slots were written; the shape is one slot's."""

    path: Path
    shape: tuple[int, ...]
    filled: Bool[np.ndarray, " slot"]

    @classmethod
    def empty(cls, path: Path, n: int, shape: tuple[int, ...]) -> SlotFile:
        """No slot filled; what the file holds from before does not count."""
        return cls(path, shape, np.zeros(n, bool))

    def write(self, slot: int, arrays: Float[np.ndarray, "slot *shape"]) -> None:
        """Fill neighbouring slots from `slot` on. Writing the same again changes nothing."""
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            _write_all(file, np.ascontiguousarray(arrays, np.float16).tobytes(), slot * self._bytes)
        finally:
            os.close(file)
        self.filled[slot : slot + len(arrays)] = True

    def read(self) -> Float[np.ndarray, "slot *shape"]:
        """All slots, which must be filled."""
        if not self.filled.all():
            raise CorruptError(
                f"{self.path.name} lacks {(~self.filled).sum()} entries; build the index anew"
            )
        if len(self.filled) == 0:
            return np.zeros((0, *self.shape), np.float16)
        return np.fromfile(self.path, np.float16, len(self.filled) * self._bytes // 2).reshape(
            -1, *self.shape
        )

    def fill(self, other: SlotFile) -> None:
        """Take over the slots that another one of the same plan has filled."""
        source = (
            np.memmap(other.path, np.uint8, "r") if other.filled.any() else np.zeros(0, np.uint8)
        )
        for slot in np.flatnonzero(other.filled & ~self.filled):
            data = source[slot * self._bytes : (slot + 1) * self._bytes]
            self.write(int(slot), np.frombuffer(data.tobytes(), np.float16).reshape(1, *self.shape))

    def sync(self) -> None:
        """Wait until the file is on the disk."""
        if self.filled.any():
            file = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(file)
            finally:
                os.close(file)

    @property
    def _bytes(self) -> int:
        return 2 * math.prod(self.shape)


def _write_all(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:  # a nearly full disk takes a part first and raises on the next call
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written
