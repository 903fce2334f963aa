"""float16 arrays: fast conversion, and a file of a fixed number of them that is filled piece by piece.

numpy converts float32 to float16 one number at a time; torch is nine times as fast.
"""

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
_NUMBERS_A_CALL = 1 << 15
"""Below this torch starts no threads; we have several already (`thread_team`)."""


def to_float16(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Convert to float16, clipping numbers out of its range."""
    if values.size and not (values.min() >= -_LARGEST and values.max() <= _LARGEST):
        values = np.clip(values, -_LARGEST, _LARGEST)
    source = torch.from_numpy(np.ascontiguousarray(values, np.float32)).view(-1)
    result = torch.empty(source.shape, dtype=torch.float16)
    for start in range(0, len(source), _NUMBERS_A_CALL):
        stop = start + _NUMBERS_A_CALL
        result[start:stop] = source[start:stop]
    return result.numpy().reshape(values.shape)


def transposed_copy(values: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "b a"]:
    """A transposed copy; torch copies block by block, numpy does not."""
    return torch.from_numpy(values).t().contiguous().numpy()


@dataclass
class SlotFile:
    """A file of float16 arrays of one shape, one per slot; `filled` marks the written slots."""

    path: Path
    shape: tuple[int, ...]
    filled: Bool[np.ndarray, " slot"]

    @classmethod
    def empty(cls, path: Path, n: int, shape: tuple[int, ...]) -> SlotFile:
        """No slot filled; older content of the file is ignored."""
        return cls(path, shape, np.zeros(n, bool))

    def write(self, slot: int, arrays: Float[np.ndarray, "slot *shape"]) -> None:
        """Fill neighbouring slots from `slot` on; writing the same again changes nothing."""
        view = memoryview(np.ascontiguousarray(arrays, np.float16).tobytes())
        offset = slot * self._bytes
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            while view:  # a nearly full disk takes a part first and raises on the next call
                written = os.pwrite(file, view, offset)
                view, offset = view[written:], offset + written
        finally:
            os.close(file)
        self.filled[slot : slot + len(arrays)] = True

    def read(self) -> Float[np.ndarray, "slot *shape"]:
        """All slots; raises CorruptError unless all are filled."""
        if not self.filled.all():
            raise CorruptError(
                f"{self.path.name} lacks {(~self.filled).sum()} entries; build the index again"
            )
        if len(self.filled) == 0:
            return np.zeros((0, *self.shape), np.float16)
        numbers = len(self.filled) * self._bytes // 2
        return np.fromfile(self.path, np.float16, numbers).reshape(-1, *self.shape)

    def fill(self, other: SlotFile) -> None:
        """Copy the slots that another file of the same plan has and this one lacks."""
        missing = np.flatnonzero(other.filled & ~self.filled)
        if len(missing):
            source = np.memmap(other.path, np.uint8, "r")
            for slot in missing:
                data = source[slot * self._bytes : (slot + 1) * self._bytes].tobytes()
                self.write(int(slot), np.frombuffer(data, np.float16).reshape(1, *self.shape))

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
