"""Rows of Parquet, in bounded memory whatever the file claims.

A few bytes of Parquet can hold gigabytes: pages that compress well, one text that many rows refer
to, rows of any length. So sizes are read from the metadata first, texts are read as numbers into
a dictionary, and each text's length is checked before it is copied.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..files.regular_file import check_regular
from .lines import EXPANSION_FREE, MAX_EXPANSION, MAX_ROW_BYTES, Expansion
from .row import Row

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROWS_AT_ONCE = 256


def parquet_columns(path: Path, *, texts_only: bool = False) -> list[str]:
    """The names of the columns, or of those of texts."""
    with _opened(path, ()) as file:
        schema = file.schema_arrow
    return [name for name in schema.names if not texts_only or _is_text(schema, name)]


def parquet_rows(path: Path, columns: Collection[str] | None = None) -> Iterator[Row]:
    """The rows, with the columns of these names or all; numbered from 1."""
    with _opened(path, ()) as file:
        schema = file.schema_arrow
    repeated = [name for name in schema.names if schema.names.count(name) > 1]
    if repeated:
        raise UsageError(f"{path}: the column {repeated[0]!r} is there twice")
    names = [name for name in schema.names if columns is None or name in columns]
    with _opened(path, [name for name in names if _is_text(schema, name)]) as file:
        _check_sizes(path, file.metadata, names)
        number, expansion = 0, Expansion(path)
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=names):
            arrays = [_checked(path, number, name, batch.column(name)) for name in names]
            for at in range(batch.num_rows):
                number += 1
                place = f"{path}, row {number}"
                cells = {
                    name: _cell(place, name, array, at)
                    for name, array in zip(names, arrays, strict=True)
                }
                expansion.add(sum(len(c) for c in cells.values() if isinstance(c, str)) + 1)
                yield Row(place, cells)


def _is_text(schema: pa.Schema, name: str) -> bool:
    import pyarrow as pa

    kind = schema.field(schema.names.index(name)).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


@contextmanager
def _opened(path: Path, texts: Collection[str]) -> Iterator[pq.ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        check_regular(path)
        with pq.ParquetFile(path, read_dictionary=list(texts)) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{str(path)!r} cannot be read as Parquet: {reason}") from error


def _check_sizes(path: Path, metadata: pq.FileMetaData, names: Collection[str]) -> None:
    """Raise UsageError where a part of a column is much larger than what it is stored in."""
    for group in range(metadata.num_row_groups):
        parts = metadata.row_group(group)
        for number in range(parts.num_columns):
            part = parts.column(number)
            if part.path_in_schema.split(".")[0] not in names:
                continue
            size = part.total_uncompressed_size
            limit = max(EXPANSION_FREE, MAX_EXPANSION * part.total_compressed_size)
            if size > limit:
                raise UsageError(
                    f"{path}: column {part.path_in_schema!r} becomes {size >> 20} MB, over "
                    f"{MAX_EXPANSION} times its size in the file; that is not real text"
                )


def _checked(path: Path, before: int, name: str, array: pa.Array[Any]) -> pa.Array[Any]:
    """The array, if none of its cells is too large; `before` is the number of rows before it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        lengths: Any = pc.binary_length(array.dictionary)  # pyright: ignore[reportAttributeAccessIssue]
        lengths = lengths.take(array.indices)  # pyright: ignore[reportAttributeAccessIssue]
        for at, length in enumerate(lengths.to_pylist()):
            if (length or 0) > MAX_ROW_BYTES:
                raise UsageError(
                    f"{path}, row {before + at + 1}: column {name!r} has {length >> 20} MB; "
                    f"at most {MAX_ROW_BYTES >> 20} MB are read of a row"
                )
    elif array.nbytes > MAX_ROW_BYTES:
        raise UsageError(
            f"{path}, rows from {before + 1}: column {name!r} has {array.nbytes >> 20} MB in "
            f"{len(array)} rows; at most {MAX_ROW_BYTES >> 20} MB are read of them"
        )
    return array


def _cell(place: str, name: str, array: pa.Array[Any], at: int) -> Any:
    try:
        return array[at].as_py()
    except (ValueError, OverflowError) as error:  # not UTF-8; a date beyond Python's
        raise UsageError(f"{place}: column {name!r} cannot be read: {error}") from error
