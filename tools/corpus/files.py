"""Documents from a user's file. Every error names the file and, where there is one, the line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import IO, cast

from ..errors import UsageError
from ..files import file_sha256
from .document import Document

KINDS = (".txt", ".jsonl", ".parquet")
MAX_LINE_BYTES = {".txt": 1 << 20, ".jsonl": 1 << 24}
"""A megabyte of prose without a line break is 170,000 words: such a line is minified code, base64,
or a whole data set that lost its line breaks. A JSON line holds a whole document, which may be a
long book."""


def kind_of(path: Path) -> str | None:
    """The suffix that says how to read a file, or None for one that is not read."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
        return suffixes[-1] if suffixes and suffixes[-1] in KINDS[:2] else None
    return suffixes[-1] if suffixes and suffixes[-1] in KINDS else None


def check(path: Path) -> None:
    """Raise UsageError unless the path is a file of a known kind with something in it."""
    if not path.exists():
        raise UsageError(
            f"no file {str(path)!r}; give the path of an existing {', '.join(KINDS)} file"
        )
    if not path.is_file():
        raise UsageError(f"{str(path)!r} is a folder; give one {', '.join(KINDS)} file")
    if kind_of(path) is None:
        raise UsageError(
            f"{str(path)!r} is of no kind that is read; "
            f"name it {', '.join(KINDS)} (or .txt.gz, .jsonl.gz)"
        )
    if path.stat().st_size == 0:
        raise UsageError(f"{str(path)!r} is empty; give a file with text")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes; raises UsageError for one that cannot be read."""
    try:
        return file_sha256(path)
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error


def read(path: Path) -> Iterator[Document]:
    """The file's documents, in order, streamed."""
    kind = kind_of(path)
    if kind == ".parquet":
        return _parquet(path)
    return _jsonl(path) if kind == ".jsonl" else _text(path)


def _text(path: Path) -> Iterator[Document]:
    """Documents between blank lines, or a document per line in a file without blank lines."""
    if all(line.strip() for _, line in _lines(path, ".txt")):
        for number, line in _lines(path, ".txt"):
            yield Document(f"{path.name}:{number}", line)
        return
    for has_text, group in groupby(_lines(path, ".txt"), key=lambda line: bool(line[1].strip())):
        if has_text:
            numbers, lines = zip(*group, strict=True)
            yield Document(f"{path.name}:{numbers[0]}", "\n".join(lines))


def _jsonl(path: Path) -> Iterator[Document]:
    for number, line in _lines(path, ".jsonl"):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(
                f"{path}:{number}: not a JSON object: {error}; each line should be one"
            ) from error
        yield _document(row, f"{path.name}:{number}", f"{path}:{number}")


def _document(row: object, fallback_id: str, place: str) -> Document:
    text = row.get("text") if isinstance(row, dict) else None
    if not isinstance(row, dict) or not isinstance(text, str):
        keys = ", ".join(map(str, row)) if isinstance(row, dict) else type(row).__name__
        raise UsageError(
            f"{place}: a string under 'text' is needed; the line has {keys or 'nothing'}"
        )
    id_ = row.get("id")
    return Document(fallback_id if id_ is None else str(id_), text)


def _parquet(path: Path) -> Iterator[Document]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if "text" not in names:
                raise UsageError(
                    f"{str(path)!r} has the columns {', '.join(names)}; a column 'text' is needed"
                )
            columns = ["text", "id"] if "id" in names else ["text"]
            number = 0
            for batch in file.iter_batches(batch_size=256, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    if row["text"] is not None:
                        yield _document(row, f"{path.name}:{number}", f"{path}, row {number}")
    except (pa.ArrowInvalid, OSError) as error:
        raise UsageError(f"{str(path)!r} cannot be read as Parquet: {error}") from error


def _lines(path: Path, kind: str) -> Iterator[tuple[int, str]]:
    """Numbered lines without line breaks, of bounded length, checked to be text."""
    limit = MAX_LINE_BYTES[kind]
    try:
        with _open(path) as file:
            number = 0
            while raw := file.readline(limit + 1):
                number += 1
                if len(raw) > limit:
                    raise UsageError(
                        f"{path}:{number}: a line of more than {limit >> 20} MB; "
                        "expected text with line breaks, or JSONL with one document per line"
                    )
                yield number, _decode(raw, path, number)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error}") from error


def _open(path: Path) -> IO[bytes]:
    compressed = path.suffix.lower() == ".gz"
    return cast(IO[bytes], gzip.open(path, "rb")) if compressed else path.open("rb")


def _decode(raw: bytes, path: Path, number: int) -> str:
    if number == 1 and raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UsageError(f"{path}:1: the text is UTF-16; expected UTF-8: iconv -f utf-16 -t utf-8")
    if b"\0" in raw:
        raise UsageError(
            f"{path}:{number}: a NUL byte, so this is binary data, not text; give UTF-8 text"
        )
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}:{number}: byte {raw[error.start]:#04x} at column {error.start + 1} "
            "is not UTF-8; convert the file, for instance: iconv -f latin1 -t utf-8"
        ) from error
