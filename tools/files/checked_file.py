"""Files of which every byte is checked against a recorded hash before it is used.

Of each file a manifest records its size, its SHA-256, and the SHA-256 of each block. A reader that
needs a part of a large file hashes the blocks that it reads, each once, and not the whole file. A
changed bit is noticed wherever it is.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import CorruptError
from .regular_file import IrregularFileError, check_regular

BLOCK = 1 << 20
"""Bytes a block. Hashing one takes about a millisecond, and a 10 GB file has 10,000 hashes."""


@dataclass(frozen=True)
class FileHashes:
    """What a manifest records of a file: `blocks` are hashes of `BLOCK` bytes, the last of fewer."""

    bytes: int
    sha256: str
    blocks: tuple[str, ...]

    @classmethod
    def of(cls, path: Path) -> FileHashes:
        """Hash a file, one block after the other."""
        size, whole, blocks = 0, hashlib.sha256(), list[str]()
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                size += len(block)
                whole.update(block)
                blocks.append(hashlib.sha256(block).hexdigest())
        return cls(size, whole.hexdigest(), tuple(blocks))

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> FileHashes:
        """What `to_json` gave; raises KeyError, TypeError or ValueError for anything else."""
        size, blocks = int(record["bytes"]), tuple(record["blocks"])
        if len(blocks) != -(-size // BLOCK):
            raise ValueError(f"{len(blocks)} hashes of blocks for {size} bytes")
        return cls(size, record["sha256"], blocks)

    def to_json(self) -> dict[str, Any]:
        """For a manifest."""
        return asdict(self)


class HashedFile:
    """A file that is hashed while it is appended to, so that nobody has to read it again for that.

    Args:
        start: bytes of an existing file to keep; what follows them is cut off.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._size = 0
        self._whole, self._block = hashlib.sha256(), hashlib.sha256()
        self._blocks: list[str] = []
        os.ftruncate(self._file, min(start, os.fstat(self._file).st_size))
        while content := os.pread(self._file, BLOCK, self._size):
            self._count(memoryview(content))

    def append(self, content: memoryview) -> None:
        """Write at the end; raises OSError where the disk is full."""
        written = 0
        while written < len(content):
            # A nearly full disk takes a part, and raises on the next call.
            written += os.pwrite(self._file, content[written:], self._size + written)
        self._count(content)

    def hashes(self) -> FileHashes:
        """The hashes of what has been written so far."""
        last = [self._block.hexdigest()] if self._size % BLOCK else []
        return FileHashes(self._size, self._whole.hexdigest(), (*self._blocks, *last))

    def sync(self) -> None:
        """Wait until the content is on the disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _count(self, content: memoryview) -> None:
        self._whole.update(content)
        while content:
            room = BLOCK - self._size % BLOCK
            part, content = content[:room], content[room:]
            self._block.update(part)
            self._size += len(part)
            if self._size % BLOCK == 0:
                self._blocks.append(self._block.hexdigest())
                self._block = hashlib.sha256()


def check_size(path: Path, hashes: FileHashes, cure: str) -> None:
    """Raise CorruptError unless the file exists with its recorded size.

    Args:
        cure: what to do, for the end of the message.
    """
    try:
        check_regular(path)
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise CorruptError(f"{path} is missing; {cure}") from error
    except IrregularFileError as error:
        raise CorruptError(f"{path} is {error.strerror}; {cure}") from error
    if size != hashes.bytes:
        raise CorruptError(f"{path} has {size:,} bytes, but {hashes.bytes:,} were written; {cure}")


def check_file(path: Path, hashes: FileHashes, cure: str) -> None:
    """Raise CorruptError unless the file is the recorded one."""
    check_size(path, hashes, cure)
    if FileHashes.of(path).sha256 != hashes.sha256:
        raise CorruptError(f"{path} is damaged (it is not what was written); {cure}")


class CheckedFile(io.RawIOBase):
    """A file open for reading. Each block is checked when it is first read.

    Reading raises CorruptError where a block is not what was written.

    Args:
        cure: what to do about a damaged file, for the end of the message.
    """

    def __init__(self, path: Path, hashes: FileHashes, cure: str) -> None:
        check_size(path, hashes, cure)
        self._path, self._hashes, self._cure = path, hashes, cure
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._position = 0
        self._checked: set[int] = set()

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._hashes.bytes}
        self._position = base[whence] + offset
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Read `size` bytes, or to the end."""
        start, end = self._position, self._hashes.bytes
        stop = end if size is None or size < 0 else min(start + size, end)
        self._position = max(start, stop)
        if stop <= start:
            return b""
        for number in range(start // BLOCK, (stop - 1) // BLOCK + 1):
            if number not in self._checked:
                self._check(number)
        return os.pread(self._file, stop - start, start)

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as possible."""
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        """Close the file; may be called twice."""
        if not self.closed:
            os.close(self._file)
        super().close()

    def _check(self, number: int) -> None:
        block = os.pread(self._file, BLOCK, number * BLOCK)
        if hashlib.sha256(block).hexdigest() != self._hashes.blocks[number]:
            place = f"bytes {number * BLOCK:,} to {number * BLOCK + len(block):,}"
            raise CorruptError(
                f"{self._path} is damaged ({place} are not what was written); {self._cure}"
            )
        self._checked.add(number)
