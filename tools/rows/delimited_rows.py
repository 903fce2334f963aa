"""Rows of CSV and TSV with a header."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ..errors import UsageError
from .lines import MAX_ROW_BYTES, Line, read_lines
from .row import Row

DELIMITERS = (",", ";", "\t", "|")


def delimited_rows(path: Path, delimiter: str | None = None) -> Iterator[Row]:
    """The rows of a file; by default the delimiter is the one that gives the header most columns."""
    _, rows = _open(path, delimiter)
    return rows


def delimited_columns(path: Path, delimiter: str | None = None) -> list[str]:
    """The names in the header; columns without a name are not read."""
    header, _ = _open(path, delimiter)
    return [name for name in header if name]


def _open(path: Path, delimiter: str | None) -> tuple[list[str], Iterator[Row]]:
    lines = read_lines(path)
    first = next((line for line in lines if line.text.strip()), None)
    if first is None:
        raise UsageError(f"{path} is empty; give a header with the names of the columns, and rows")
    delimiter = delimiter or max(DELIMITERS, key=lambda d: _count_columns(first, path, d))
    header = [name.strip() for name in _cells(first, path, delimiter)]
    repeated = [name for name, n in Counter(header).items() if name and n > 1]
    if repeated:
        raise UsageError(f"{path}:{first.number}: the column {repeated[0]!r} is there twice")
    return header, _rows(path, header, lines, delimiter)


def _cells(line: Line, path: Path, delimiter: str) -> list[str]:
    return next((cells for _, cells in _records(path, iter([line]), delimiter)), [])


def _count_columns(header: Line, path: Path, delimiter: str) -> int:
    try:
        return len(_cells(header, path, delimiter))
    except UsageError:  # quotes that end before a comma of the name, or before another delimiter
        return 0


def _rows(path: Path, header: list[str], lines: Iterator[Line], delimiter: str) -> Iterator[Row]:
    for number, cells in _records(path, lines, delimiter):
        place = f"{path}:{number}"
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise UsageError(
                f"{place}: {len(cells)} cells, but the header has {len(header)} columns; "
                f"put cells that contain {delimiter!r} or a line break in double quotes"
            )
        yield Row(place, {name: cell for name, cell in zip(header, cells, strict=True) if name})


def _records(path: Path, lines: Iterator[Line], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Records with the number of their first line; a quoted cell may contain line breaks."""
    csv.field_size_limit(MAX_ROW_BYTES)  # the library's own limit is 128 kB
    first = 0  # line of the record

    def texts() -> Iterator[str]:
        nonlocal first
        for line in lines:
            first = first or line.number
            yield line.text

    reader = csv.reader(texts(), delimiter=delimiter, strict=True)
    while True:
        first = 0
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise UsageError(
                f"{path}:{first}: not CSV: {error}; a double quote in a quoted cell is doubled"
            ) from None
        if cells is None:
            return
        yield first, cells
