"""Where a log keeps the texts of its events, so that they can be looked up again.

A run of many targets has gigabytes of them, most of which nobody asks for again once their target has
ended. In a process's memory they would take several times as much, so only their places stay there.
"""

from __future__ import annotations

import os
import tempfile
import weakref
import zlib
from typing import Protocol

from ...tools.errors import CorruptError

SHORT = 128
"""Bytes of a text that stays in memory: its place would hardly take less."""
LENGTH_BITS = 32
"""A place is an offset in the file and, in so many lower bits, a length."""

Place = int | bytes
"""Of a text: in the file, or the text itself."""


class EventShelf(Protocol):
    """Keeps texts. Reading is safe from many threads; adding needs the caller's lock."""

    def add(self, text: bytes) -> Place:
        """Keep a text; returns its place."""
        ...

    def read(self, place: Place) -> bytes:
        """The text at a place."""
        ...


class MemoryShelf:
    """Keeps texts in memory."""

    def add(self, text: bytes) -> Place:
        """As `EventShelf.add`."""
        return text

    def read(self, place: Place) -> bytes:
        """As `EventShelf.read`."""
        assert isinstance(place, bytes)
        return place


class FileShelf:
    """Keeps texts in a compressed temporary file, which goes with the process.

    Where there is no room for it, they stay in memory.
    """

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self._end = 0

    def add(self, text: bytes) -> Place:
        """As `EventShelf.add`."""
        if len(text) <= SHORT:
            return text
        packed = zlib.compress(text, 1)
        try:
            self._write(packed)
        except OSError:  # no room: the part that was written is written over
            return text
        self._end += len(packed)
        return (self._end - len(packed)) << LENGTH_BITS | len(packed)

    def read(self, place: Place) -> bytes:
        """As `EventShelf.read`."""
        if isinstance(place, bytes):
            return place
        assert self._descriptor is not None
        length = place & ((1 << LENGTH_BITS) - 1)
        try:
            return zlib.decompress(os.pread(self._descriptor, length, place >> LENGTH_BITS))
        except (OSError, zlib.error) as error:
            raise CorruptError(
                f"the temporary file of a log in {tempfile.gettempdir()} cannot be read ({error}); "
                "the log itself is whole: set TMPDIR to a folder elsewhere, and repeat the command"
            ) from error

    def _write(self, packed: bytes) -> None:
        if self._descriptor is None:
            descriptor, path = tempfile.mkstemp(prefix="hubel-log-")
            os.unlink(path)
            self._descriptor = descriptor
            weakref.finalize(self, os.close, descriptor)
        written = 0
        while written < len(packed):
            written += os.pwrite(self._descriptor, packed[written:], self._end + written)
