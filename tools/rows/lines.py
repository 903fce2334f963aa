"""Lines of a text file from anywhere: checked to be UTF-8, of bounded length, streamed.

A line ends with LF, CRLF or a bare CR. A byte order mark of UTF-8 is dropped; UTF-16, UTF-32 and
Latin-1 are refused, because a guess would be silent. Files may be compressed with gzip.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

from ..errors import UsageError
from ..files.regular_file import open_regular

MAX_ROW_BYTES = 1 << 24
"""A row holds a whole document, which may be a long book; the Bible has 4 MB."""
MAX_EXPANSION, EXPANSION_FREE = 200, 1 << 26
"""A file may become 64 MB of text, or 200 times its size. gzip makes real text 3 to 5 times smaller,
and 1,000 times at most; Parquet may repeat one text a billion times in a few bytes."""
_BLOCK = 1 << 20
_MARKS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
"""Byte order marks; that of UTF-32 begins with that of UTF-16."""


class Line(NamedTuple):
    """A line with its line break, and its number from 1."""

    number: int
    text: str


def read_lines(path: Path, max_bytes: int = MAX_ROW_BYTES, hint: str = "") -> Iterator[Line]:
    """The lines of a file.

    Args:
        max_bytes: of a line.
        hint: what to do about a longer line.

    Raises:
        UsageError: not a regular file, not text in UTF-8, or a line too long; with its number.
    """
    with _reading(path), _open_text(path) as file:
        for number, raw in enumerate(_raw_lines(file, path, max_bytes, hint), 1):
            yield Line(number, _decode(raw, path, number))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn errors of opening, reading and decompressing into a UsageError."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{str(path)!r} cannot be read: {reason}") from error


@contextmanager
def _open_text(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, decompressed if its name ends with .gz."""
    with open_regular(path) as file:
        if path.suffix.lower() == ".gz":
            with gzip.open(file, "rb") as unpacked:
                yield cast(IO[bytes], unpacked)
        else:
            yield file


class Expansion:
    """Counts the text that comes out of a file, and stops what no text compresses to."""

    def __init__(self, path: Path) -> None:
        self._path, self._bytes = path, 0
        self._limit = max(EXPANSION_FREE, MAX_EXPANSION * path.stat().st_size)

    def add(self, n_bytes: int) -> None:
        """Raise UsageError when the file has become too large."""
        self._bytes += n_bytes
        if self._bytes > self._limit:
            raise UsageError(
                f"{str(self._path)!r} holds more than {self._limit >> 20} MB of text, over "
                f"{MAX_EXPANSION} times its size: that is not real text; give it uncompressed"
            )


def _raw_lines(file: IO[bytes], path: Path, max_bytes: int, hint: str) -> Iterator[bytes]:
    """Lines with their line breaks; a file ends its last line, too."""
    number, rest, expansion = 1, b"", Expansion(path)
    while block := file.read(_BLOCK):
        expansion.add(len(block))
        # The last piece may go on, and so may a CR, with LF.
        *lines, rest = (rest + block).splitlines(keepends=True)
        if rest.endswith(b"\n"):
            lines.append(rest)
            rest = b""
        for line in lines:
            _check_length(line, path, number, max_bytes, hint)
            yield line
            number += 1
        _check_length(rest, path, number, max_bytes, hint)
    yield from rest.splitlines(keepends=True)


def _check_length(line: bytes, path: Path, number: int, max_bytes: int, hint: str) -> None:
    if len(line) > max_bytes:
        raise UsageError(f"{path}:{number}: a line of more than {max_bytes >> 20} MB{hint}")


def _decode(raw: bytes, path: Path, number: int) -> str:
    if number == 1:
        for mark, name in _MARKS.items():
            if raw.startswith(mark):
                raise UsageError(
                    f"{path}:1: the text is {name.upper()}; expected UTF-8: "
                    f"iconv -f {name} -t utf-8"
                )
    if b"\0" in raw:
        raise UsageError(
            f"{path}:{number}: a NUL byte, so this is binary data or UTF-16, not text; "
            "give UTF-8 text"
        )
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}:{number}: byte {raw[error.start]:#04x} at column {error.start + 1} "
            "is not UTF-8; convert the file, for instance: iconv -f latin1 -t utf-8"
        ) from error
