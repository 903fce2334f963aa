"""float16 arrays: fast conversion, and a file of a fixed number of them that is filled piece by piece.

numpy converts float32 to float16 one number at a time; torch is nine times as fast.
"""

from __future__ import annotations

import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8, UInt32

from ..errors import CorruptError

_NUMBERS_A_CALL = 1 << 15
"""Below this torch starts no threads; we have several already (`thread_team`)."""


def to_float16(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Convert to float16; numbers out of its range become infinite (`float16_range`)."""
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
    """A file of float16 arrays of one shape, one per slot.

    Attributes:
        filled: which slots are written.
        sums: their CRC-32, which is checked when they are read.
    """

    path: Path
    shape: tuple[int, ...]
    filled: Bool[np.ndarray, " slot"]
    sums: UInt32[np.ndarray, " slot"]

    @classmethod
    def empty(cls, path: Path, n: int, shape: tuple[int, ...]) -> SlotFile:
        """No slot filled; older content of the file is ignored."""
        return cls(path, shape, np.zeros(n, bool), np.zeros(n, np.uint32))

    def write(self, slot: int, arrays: Float[np.ndarray, "slot *shape"]) -> None:
        """Fill neighbouring slots from `slot` on; writing the same again changes nothing."""
        view = memoryview(np.ascontiguousarray(arrays, np.float16).tobytes())
        self.sums[slot : slot + len(arrays)] = self._sums(view)
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
        """All slots; raises CorruptError unless all are filled and as they were written."""
        cure = f"rm -r {self.path.parent}, then run the same command again"
        if not self.filled.all():
            raise CorruptError(f"{(~self.filled).sum()} entries of {self.path} are missing; {cure}")
        return self._content(cure).view(np.float16).reshape(len(self.filled), *self.shape)

    def check(self, cure: str) -> None:
        """Raise CorruptError unless the filled slots are as they were written."""
        self._content(cure)

    def fill(self, other: SlotFile) -> None:
        """Copy the slots that another file of the same plan has and this one does not."""
        missing = np.flatnonzero(other.filled & ~self.filled)
        if len(missing):
            content = other._content("build that part again").view(np.float16)
            for slot in missing.tolist():
                array = content[slot * self._bytes // 2 : (slot + 1) * self._bytes // 2]
                self.write(slot, array.reshape(1, *self.shape))

    def sync(self) -> None:
        """Wait until the file is on the disk."""
        if self.filled.any():
            file = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def _content(self, cure: str) -> UInt8[np.ndarray, " byte"]:
        """The file up to its last filled slot; raises CorruptError where it was changed."""
        filled = np.flatnonzero(self.filled)
        size = self._bytes * int(filled[-1] + 1) if len(filled) else 0
        try:
            content = np.fromfile(self.path, np.uint8, size) if size else np.zeros(0, np.uint8)
        except OSError as error:
            raise CorruptError(f"{self.path} cannot be read ({error.strerror}); {cure}") from error
        sums = np.array(self._sums(content.data), np.uint32)
        if len(content) < size or (sums[filled] != self.sums[filled]).any():
            raise CorruptError(f"{self.path} is damaged (it is not what was written); {cure}")
        return content

    def _sums(self, content: memoryview) -> list[int]:
        """The CRC-32 of each slot; it finds any single changed bit."""
        starts = range(0, len(content), self._bytes or 1)
        return [zlib.crc32(content[start : start + self._bytes]) for start in starts]

    @property
    def _bytes(self) -> int:
        return 2 * math.prod(self.shape)
