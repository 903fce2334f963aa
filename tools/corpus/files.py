"""Documents from a user's files. Every error names the file and, where there is one, the line.

A single ``.txt`` file holds documents between blank lines, or one on each line. In a folder or a
glob, which are many files, each ``.txt`` file is one document. In a table each row is one, with its
text in one column. See `tools.rows` for the kinds of tables.
"""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError
from ..files import file_sha256
from ..files.regular_file import check_regular
from ..rows import KINDS, Row, column_names, kind_of, read_lines, read_rows
from ..rows.lines import MAX_ROW_BYTES
from .document import Document, DocumentSource

TEXT_KINDS = (".txt", *KINDS)
MAX_TEXT_LINE_BYTES = 1 << 20
"""A megabyte of prose without a line break is 170,000 words: such a line is minified code, base64,
or a whole data set that lost its line breaks."""
_LINE_HINT = "; expected text with line breaks, or JSONL with one document on each line"
MAX_LISTED = 10


class TextFile(NamedTuple):
    """A file of a corpus.

    Attributes:
        name: begins the ids of its documents.
        text_column: of a table; None for a .txt file, which is one document.
    """

    path: Path
    name: str
    text_column: str | None = None


def source(spec: str, text_column: str | None) -> DocumentSource | None:
    """The documents of a file, a folder or a glob; None if the spec does not name any of these.

    Raises:
        UsageError: the files cannot be read, or are not of a known kind.
    """
    path = Path(spec).expanduser()
    if path.is_dir():
        if text_column is not None:
            raise UsageError(
                f"column {text_column!r} given, but {spec!r} is a folder of .txt files"
            )
        return _source_of_files(path.name, _files_of_folder(path))
    if not path.exists() and glob.has_magic(spec):
        return _source_of_files(path.name, _files_of_glob(spec, text_column))
    if not path.exists() and not _is_known_kind(path):
        return None
    _check(path)
    if path.stat().st_size == 0:
        raise UsageError(f"{str(path)!r} is empty; give a file with text")
    column = _text_column(path, text_column)
    return DocumentSource(path.name, _sha256(path), lambda: _read(path, path.name, column))


def _source_of_files(name: str, files: list[TextFile]) -> DocumentSource:
    title = f"{name} ({len(files)} files)"
    return DocumentSource(title, _sha256_of_all(files), lambda: _read_all(files))


def _check(path: Path) -> None:
    """Raise UsageError unless the path is a file of a known kind."""
    kinds = ", ".join(TEXT_KINDS)
    if not path.exists():
        raise UsageError(f"no file {str(path)!r}; give the path of an existing {kinds} file")
    if not _is_known_kind(path):
        raise UsageError(
            f"{str(path)!r} is not of a kind that is read; name it {kinds} (or .txt.gz, .jsonl.gz, ...)"
        )
    try:
        check_regular(path)
    except OSError as error:
        raise UsageError(f"{str(path)!r} is {error.strerror}; give a {kinds} file") from error


def _read(path: Path, name: str, text_column: str | None) -> Iterator[Document]:
    """A file's documents, in order, streamed; some may have no text.

    Args:
        name: begins the ids of documents without an id.
        text_column: of a table.
    """
    return _rows(path, name, text_column or "text") if kind_of(path) else _text(path, name)


def row_document(row: Row, text_column: str, fallback_id: str) -> Document:
    """The document of a row; its text is empty where the cell has no value.

    Raises:
        UsageError: the row does not have that column, or not text in it.
    """
    if text_column not in row.cells:
        names = ", ".join(map(str, row.cells)) or "nothing"
        raise row.error(f"a string under {text_column!r} is needed; the row has {names}")
    text = row.text(text_column, strict=True)
    return Document(row.text("id") or fallback_id, text or "")


def _is_known_kind(path: Path) -> bool:
    return kind_of(path) is not None or _is_txt(path)


def _is_txt(path: Path) -> bool:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return suffixes[-1:] == [".txt"] or suffixes[-2:] == [".txt", ".gz"]


def _text(path: Path, name: str) -> Iterator[Document]:
    """Documents between blank lines, or a document on each line in a file without blank lines."""
    if all(line.strip() for _, line in read_lines(path, MAX_TEXT_LINE_BYTES, _LINE_HINT)):
        for number, line in read_lines(path, MAX_TEXT_LINE_BYTES, _LINE_HINT):
            yield Document(f"{name}:{number}", line.rstrip("\r\n"))
        return
    lines = read_lines(path, MAX_TEXT_LINE_BYTES, _LINE_HINT)
    for has_text, group in groupby(lines, key=lambda line: bool(line.text.strip())):
        if has_text:
            numbers, texts = zip(*group, strict=True)
            text = "\n".join(text.rstrip("\r\n") for text in texts)
            yield Document(f"{name}:{numbers[0]}", text)


def _whole_text(file: TextFile) -> Document:
    """One document of a whole file."""
    parts: list[str] = []
    size = 0
    for _, line in read_lines(file.path, MAX_TEXT_LINE_BYTES, _LINE_HINT):
        size += len(line)
        if size > MAX_ROW_BYTES:
            raise UsageError(
                f"{file.path}: more than {MAX_ROW_BYTES >> 20} MB; in a folder each .txt file is "
                "one document: give large files by themselves"
            )
        parts.append(line.rstrip("\r\n"))
    return Document(file.name, "\n".join(parts))


def _rows(path: Path, name: str, text_column: str) -> Iterator[Document]:
    for row in read_rows(path, (text_column, "id")):
        yield row_document(row, text_column, name + row.place.removeprefix(str(path)))


def _text_column(path: Path, given: str | None) -> str | None:
    """The column of a table's texts: the given one, `text`, or the only one that can be it.

    Raises:
        UsageError: the table does not have that column, or several may be meant.
    """
    if kind_of(path) is None:
        if given is not None:
            raise UsageError(
                f"column {given!r} given, but {str(path)!r} is not a table; leave it out"
            )
        return None
    names = column_names(path)
    listed = ", ".join(names[:MAX_LISTED]) + (", ..." if len(names) > MAX_LISTED else "")
    if given is not None:
        if names and given not in names:
            raise UsageError(f"{path} has no column {given!r}; it has {listed}")
        return given
    if "text" in names or not names:
        return "text"
    texts = [name for name in column_names(path, texts_only=True) if name != "id"]
    if len(texts) == 1:
        return texts[0]
    raise UsageError(
        f"{path} has the columns {listed}; say which one is the text: a column 'text' of strings, "
        f"or --text-column NAME, which is the same as {path.name}::NAME"
    )


def _files_of_folder(folder: Path) -> list[TextFile]:
    """The .txt files in a folder and below, by name; hidden ones are left out."""
    found = [(path, path.relative_to(folder)) for path in folder.rglob("*.txt*")]
    files = [
        TextFile(path, name.as_posix())
        for path, name in found
        if _is_txt(path) and not any(part.startswith(".") for part in name.parts)
    ]
    if not files:
        raise UsageError(
            f"the folder {str(folder)!r} has no .txt file; give its files by a glob, such as "
            f"'{folder}/*.jsonl'"
        )
    for file in files:
        try:
            check_regular(file.path, inside=folder)
        except OSError as error:
            raise UsageError(f"{str(file.path)!r} is {error.strerror}; take it away") from error
    return sorted(files, key=lambda file: file.name)


def _files_of_glob(pattern: str, text_column: str | None) -> list[TextFile]:
    """The files that match a glob, by name; names begin at the part with the first wildcard."""
    expanded = str(Path(pattern).expanduser())
    paths = sorted(Path(name) for name in glob.glob(expanded, recursive=True))
    paths = [path for path in paths if not path.is_dir()]
    if not paths:
        raise UsageError(f"no file matches {pattern!r}")
    for path in paths:
        _check(path)
    parts = Path(expanded).parts
    fixed = Path(*parts[: next(at for at, part in enumerate(parts) if glob.has_magic(part))])
    return [
        TextFile(path, path.relative_to(fixed).as_posix(), _text_column(path, text_column))
        for path in paths
    ]


def _read_all(files: list[TextFile]) -> Iterator[Document]:
    for file in files:
        if file.text_column is None:
            yield _whole_text(file)
        else:
            yield from _read(*file)


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error


def _sha256_of_all(files: list[TextFile]) -> str:
    """SHA-256 over the names and contents."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0{_sha256(file.path)}\n".encode())
    return digest.hexdigest()
