"""A file of a fixed number of arrays of one shape, filled piece by piece, each with its checksum."""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Shaped, UInt32

from ..errors import CorruptError

READ_AT_ONCE = 1 << 24
"""Bytes that are checked at once."""


@dataclass
class SlotFile:
    """A file of arrays of one shape, one per slot.

    Attributes:
        filled: which slots are written.
        sums: their CRC-32, which is checked when they are read.
    """

    path: Path
    shape: tuple[int, ...]
    filled: Bool[np.ndarray, " slot"]
    sums: UInt32[np.ndarray, " slot"]
    dtype: type = np.float16

    @classmethod
    def empty(
        cls, path: Path, n: int, shape: tuple[int, ...], dtype: type = np.float16
    ) -> SlotFile:
        """No slot filled; older content of the file is ignored."""
        return cls(path, shape, np.zeros(n, bool), np.zeros(n, np.uint32), dtype)

    def write(self, slot: int, arrays: Shaped[np.ndarray, "slot *shape"]) -> None:
        """Fill neighbouring slots from `slot` on; writing the same again changes nothing."""
        view = memoryview(np.ascontiguousarray(arrays, self.dtype).tobytes())
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

    def read(self) -> Shaped[np.ndarray, "slot *shape"]:
        """All slots; raises CorruptError unless all are filled and as they were written."""
        arrays = np.empty((len(self.filled), *self.shape), self.dtype)
        for start, part in self.parts():
            arrays[start : start + len(part)] = part
        return arrays

    def parts(
        self, cure: str | None = None
    ) -> Iterator[tuple[int, Shaped[np.ndarray, "slot *shape"]]]:
        """All slots a part at a time, each with the number of its first slot.

        Args:
            cure: what to do about a damaged file, for the end of a message.

        Raises:
            CorruptError: a slot is not filled, or not as it was written.
        """
        cure = cure or f"rm -r {self.path.parent}, then run the same command again"
        if not self.filled.all():
            raise CorruptError(f"{(~self.filled).sum()} entries of {self.path} are missing; {cure}")
        yield from self._checked(len(self.filled), cure)

    def one(self, slot: int, cure: str) -> Shaped[np.ndarray, "*shape"]:
        """One slot; raises CorruptError unless it is filled and as it was written."""
        content = self._read(slot * self._bytes, self._bytes, cure)
        whole = self.filled[slot] and len(content) == self._bytes
        if not whole or zlib.crc32(content) != self.sums[slot]:
            raise CorruptError(f"{self.path} is damaged (it is not what was written); {cure}")
        return np.frombuffer(content, self.dtype).reshape(self.shape)

    def check(self, cure: str) -> None:
        """Raise CorruptError unless the filled slots are as they were written."""
        filled = np.flatnonzero(self.filled)
        for _ in self._checked(int(filled[-1]) + 1 if len(filled) else 0, cure):
            pass

    def sync(self) -> None:
        """Wait until the file is on the disk."""
        if self.filled.any():
            file = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def _checked(
        self, n: int, cure: str
    ) -> Iterator[tuple[int, Shaped[np.ndarray, "slot *shape"]]]:
        """The first n slots, of which those that are filled are checked."""
        step = max(READ_AT_ONCE // max(self._bytes, 1), 1)
        for start in range(0, n, step):
            stop = min(start + step, n)
            content = self._read(start * self._bytes, (stop - start) * self._bytes, cure)
            sums = np.array(self._sums(content), np.uint32)
            wrong = (sums != self.sums[start : start + len(sums)]) & self.filled[
                start : start + len(sums)
            ]
            if len(content) < (stop - start) * self._bytes or wrong.any():
                raise CorruptError(f"{self.path} is damaged (it is not what was written); {cure}")
            yield start, np.frombuffer(content, self.dtype).reshape(stop - start, *self.shape)

    def _read(self, offset: int, size: int, cure: str) -> bytes:
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except OSError as error:
            raise CorruptError(f"{self.path} cannot be read ({error.strerror}); {cure}") from error

    def _sums(self, content: bytes | memoryview) -> list[int]:
        """The CRC-32 of each slot; it finds any single changed bit."""
        size = self._bytes  # a property, and there are thousands of slots
        view = memoryview(content)
        starts = range(0, len(content), size or 1)
        return [zlib.crc32(view[start : start + size]) for start in starts]

    @property
    def bytes(self) -> int:
        """Of all slots."""
        return len(self.filled) * self._bytes

    @property
    def _bytes(self) -> int:
        """Of one slot."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize
