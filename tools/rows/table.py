"""The rows of a table: CSV, TSV, JSONL, a JSON array or Parquet, by the suffix of its name.

All but Parquet may be compressed with gzip (``.csv.gz``). The delimiter of CSV is the one of ``, ; |``
and tab that gives the header most columns. Rows are streamed; only a JSON array is read whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

from ..errors import UsageError
from .delimited_rows import delimited_columns, delimited_rows
from .json_rows import json_array_rows, json_line_rows
from .parquet_rows import parquet_columns, parquet_rows
from .row import Row

KINDS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
MAX_ROWS = 1_000_000
"""Rows that are kept in memory, about 500 MB; Parquet can repeat a row without end."""
_SYNONYMS = {".ndjson": ".jsonl", ".tab": ".tsv", ".pq": ".parquet"}
_DELIMITERS = {".csv": None, ".tsv": "\t"}


def kind_of(path: Path) -> str | None:
    """How a table is read, by the suffix of its name; None for any other file."""
    suffix = path.suffix.lower()
    compressed = suffix == ".gz"
    if compressed:
        suffix = path.with_suffix("").suffix.lower()
    kind = _SYNONYMS.get(suffix, suffix)
    return kind if kind in KINDS and not (compressed and kind == ".parquet") else None


def column_names(path: Path, *, texts_only: bool = False) -> list[str]:
    """The columns of a table; of JSON those of the first row, if there is one.

    Args:
        texts_only: those that may hold text, where the format tells.

    Raises:
        UsageError: the file cannot be read.
    """
    kind = kind_of(path)
    if kind == ".parquet":
        return parquet_columns(path, texts_only=texts_only)
    if kind in _DELIMITERS:
        return delimited_columns(path, _DELIMITERS[kind])
    first = next(read_rows(path), None)
    cells = first.cells.items() if first else ()
    return [name for name, cell in cells if not texts_only or isinstance(cell, str | None)]


def read_rows(path: Path, columns: Collection[str] | None = None) -> Iterator[Row]:
    """The rows of a table, in order.

    Args:
        columns: read no others, where they are stored apart (Parquet).

    Raises:
        UsageError: the file, or a row of it, cannot be read; the message names it.
    """
    kind = kind_of(path)
    if kind == ".parquet":
        return parquet_rows(path, columns)
    if kind == ".jsonl":
        return json_line_rows(path)
    if kind == ".json":
        return json_array_rows(path)
    if kind in _DELIMITERS:
        return delimited_rows(path, _DELIMITERS[kind])
    raise UsageError(f"{str(path)!r} is not a table; name it {', '.join(KINDS)}")


def read_all_rows(path: Path, columns: Collection[str] | None = None) -> list[Row]:
    """The rows of a table that is kept in memory.

    Raises:
        UsageError: as `read_rows`, or there are more than a million.
    """
    rows = list(islice(read_rows(path, columns), MAX_ROWS + 1))
    if len(rows) > MAX_ROWS:
        raise UsageError(f"{path} has more than {MAX_ROWS:,} rows; give a smaller table")
    return rows
