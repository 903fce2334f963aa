"""Segments of a run's log, read from any position: the envelopes first, an event's data only on demand.

A line of the log is canonical JSON, so its `data` comes first and its name last:
``{"data":...,"event":"score",...}``. The name is read from the end of the line without parsing the
data, which may be megabytes. Any other line is parsed whole.

Every reader of events reads them here, and every event is compared with the hash that it carries. A
complete line that is not an event, or not the one that was written, raises a CorruptError that names
the segment and the line. Only an unfinished last line is left out: a killed writer leaves one.

The position of an event is its line in the segment and, for JSONL, the offset of that line in bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import orjson

from ...tools.errors import CorruptError
from ...tools.files.regular_file import IrregularFileError, check_regular, open_regular
from .layout import EVENTS

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BYTES_AT_ONCE = 16 << 20
"""How much of a JSONL segment is read in one step; a single line may be longer."""
MAX_UNPACKED = 256 << 20
"""Bytes of a sealed segment that are in memory at once; the 2,048 events of a group have 60 MB."""
_DATA, _NAME = b'{"data":', b',"event":'
_COLUMNS = ["event", "target", "id", "time", "data", "seq"]
_CHAIN = ["previous", "hash"]
"""The columns that logs from before the chain do not have."""


class EventPosition(NamedTuple):
    """Where an event is in its segment. `offset` is -1 in a sealed segment."""

    line: int
    offset: int


class Envelope(NamedTuple):
    """An event with its data unparsed."""

    event: str
    target: str | None
    id: str | None
    time: str
    raw: bytes | str
    position: EventPosition
    seq: int = 0
    previous: str | None = None
    """Hash of the event before; None in logs from before the chain."""
    hash: str | None = None
    """Hash of this event, which was compared with its content when it was read; None as above."""
    segment: Path = Path()

    def data(self) -> Any:
        """The event's data, parsed with orjson, which is several times faster than the standard library.

        Raises:
            CorruptError: it is not valid JSON.
        """
        try:
            return _parse(self.raw)
        except ValueError as error:
            not_an_event(self.segment, self.position.line, error)


def canonical(value: Any) -> str:
    """JSON that is the same for equal values: sorted keys, no spaces. NaN and infinities are refused."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def hashed_text(data: str, name: dict[str, Any]) -> str:
    """The canonical JSON of an event, of which its hash is the SHA-256.

    Args:
        data: its data as canonical JSON.
        name: event, id, previous, seq, target and time.
    """
    return f'{{"data":{data},{canonical(name)[1:]}'


def _parse(text: bytes | str) -> Any:
    """Parse JSON with orjson; what it refuses (lone surrogates, NaN) with the standard library."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return json.loads(text)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None


def segments(folder: Path) -> dict[str, Path]:
    """Stem to file of a run's segments, in the order of writing; the sealed file where there are both.

    Raises:
        CorruptError: two segments have one number, or one is a link out of the folder or no file.
    """
    files = {path.stem: path for path in (folder / EVENTS).glob("[0-9]*-*.jsonl")}
    files |= {path.stem: path for path in (folder / EVENTS).glob("[0-9]*-*.parquet")}
    by_number: dict[int, Path] = {}
    for path in files.values():
        with readable(path):
            check_regular(path, inside=folder)
            number = int(path.stem.split("-")[0])
        if (other := by_number.setdefault(number, path)) != path:
            raise CorruptError(
                f"{path.parent} has two segments numbered {number}, {other.name} and {path.name}: "
                "one was copied here; remove the one that does not belong to this run"
            )
    return {by_number[number].stem: by_number[number] for number in sorted(by_number)}


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what is wrong with a segment's file into a CorruptError that names it and the cure."""
    try:
        yield
    except IrregularFileError as error:
        raise CorruptError(f"{path} is not read: {error.strerror}; remove it") from None
    except FileNotFoundError:  # it may have just been sealed; readers look for that file next
        raise
    except (OSError, ValueError, NotImplementedError, OverflowError, MemoryError) as error:
        # pyarrow's errors are of these
        reason = " ".join(str(error).split())
        raise CorruptError(
            f"{path} is damaged ({reason}); restore it from a copy: it cannot be computed again"
        ) from None


def not_an_event(path: Path, line: int, error: Exception) -> NoReturn:
    """Raise the CorruptError of a line that is not an event; `line` counts from 0."""
    reason = " ".join(str(error).split()) or type(error).__name__
    raise CorruptError(
        f"{path}, line {line + 1}: not an event ({reason}); restore the file from a copy, since a line "
        "that is left out would change what the run says"
    ) from None


def read_segment(path: Path) -> Iterator[Envelope]:
    """All complete events of a segment in either form, also when it is sealed at this moment."""
    sealed = path.with_suffix(".parquet")
    try:
        size = path.stat().st_size
        yield from (
            read_sealed(path, 0) if path == sealed else read_lines(path, EventPosition(0, 0), size)
        )
    except FileNotFoundError:
        if path == sealed:
            raise
        yield from read_sealed(sealed, 0)


def read_lines(path: Path, start: EventPosition, limit: int = BYTES_AT_ONCE) -> Iterator[Envelope]:
    """The complete lines of a JSONL segment from a position on, until `limit` bytes are read."""
    with readable(path), open_regular(path) as file:
        file.seek(start.offset)
        line, offset = start
        while offset - start.offset < limit:
            text = file.readline()
            if not text.endswith(b"\n"):
                _check_unfinished(path, line, text)
                return
            yield _envelope(text, EventPosition(line, offset), path)
            line, offset = line + 1, offset + len(text)


def _check_unfinished(path: Path, line: int, text: bytes) -> None:
    """Refuse a last line that is complete except for its end: no killed writer leaves such a line."""
    try:
        orjson.loads(text[:-1])
    except orjson.JSONDecodeError:
        return
    not_an_event(path, line, ValueError("its end of line was changed"))


def read_sealed(path: Path, start: int) -> Iterator[Envelope]:
    """The rows of a sealed segment from a line on, with one row group in memory at a time."""
    with readable(path), _open_sealed(path) as file:
        line, names = 0, _columns(file.schema_arrow)
        for group in range(file.num_row_groups):
            group_rows = file.metadata.row_group(group).num_rows
            if line + group_rows <= start:
                line += group_rows
                continue
            _check_packed(file, group)
            for batch in file.iter_batches(2048, row_groups=[group], columns=names):
                columns = [_values(batch.column(name)) for name in names]
                for number, row in enumerate(zip(*columns, strict=True), line):
                    if number >= start:
                        yield _sealed_envelope(row, number, path)
                line += batch.num_rows


def _open_sealed(path: Path) -> pq.ParquetFile:
    """Open a sealed segment so that text is read dictionary-encoded."""
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(path)
    text = [name for name in _columns(metadata.schema.to_arrow_schema()) if name != "seq"]
    return pq.ParquetFile(path, metadata=metadata, read_dictionary=text)


def _columns(schema: pa.Schema) -> list[str]:
    """The columns to read; raises ValueError if one is missing or has another type."""
    import pyarrow as pa

    names = set(schema.names)
    wanted = [*_COLUMNS, *_CHAIN] if names & set(_CHAIN) else _COLUMNS
    if missing := set(wanted) - names:
        raise ValueError(f"it has no column {min(missing)!r}")
    for name in wanted:
        kind = schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (pa.types.is_integer(kind) if name == "seq" else pa.types.is_string(kind)):
            raise ValueError(f"its column {name!r} is of type {kind}")
    return wanted


def _check_packed(file: pq.ParquetFile, group: int) -> None:
    """Refuse a row group that is too large unpacked, before it is."""
    unpacked = file.metadata.row_group(group).total_byte_size
    if unpacked > MAX_UNPACKED:
        raise ValueError(
            f"{unpacked:,} bytes in one group of rows, where {MAX_UNPACKED:,} are allowed"
        )


def _values(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """A column as Python values; raises ValueError if these would take too much memory.

    A few kB can refer to one long text a million times, and no size in the file shows it.
    """
    import pyarrow as pa

    values: list[Any] = []
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        if isinstance(chunk, pa.DictionaryArray):
            _check_repeated(chunk)
            chunk = chunk.dictionary_decode()  # faster than value by value
        values += chunk.to_pylist()
    return values


def _check_repeated(chunk: pa.DictionaryArray) -> None:
    """Raise ValueError if the values are too large when each is written out where it occurs."""
    if chunk.dictionary.nbytes * len(chunk) <= MAX_UNPACKED:
        return  # most columns; the exact sum needs an import that takes 30 ms
    from pyarrow.compute import call_function

    lengths = call_function("binary_length", [chunk.dictionary])
    size = call_function("sum", [lengths.take(chunk.indices)]).as_py() or 0
    if size > MAX_UNPACKED:
        raise ValueError(f"{size:,} bytes of text, where {MAX_UNPACKED:,} are allowed")


def fetch(path: Path, positions: Iterable[EventPosition]) -> Iterator[Envelope]:
    """The events at these positions of a segment, in the order of their lines."""
    ordered = sorted(set(positions))
    if not ordered:
        return iter(())
    return (
        _fetch_sealed(path, ordered) if path.suffix == ".parquet" else _fetch_lines(path, ordered)
    )


def _fetch_lines(path: Path, positions: list[EventPosition]) -> Iterator[Envelope]:
    try:
        with readable(path):
            file = open_regular(path)
    except (
        FileNotFoundError
    ):  # the segment was sealed since it was listed; its lines are numbered the same
        yield from _fetch_sealed(path.with_suffix(".parquet"), positions)
        return
    with readable(path), file:
        for position in positions:
            file.seek(position.offset)
            yield _envelope(file.readline(), position, path)


def _fetch_sealed(path: Path, positions: list[EventPosition]) -> Iterator[Envelope]:
    """Events of a Parquet segment; reads only the row groups that hold one of the positions."""
    with readable(path), _open_sealed(path) as file:
        first, names = 0, _columns(file.schema_arrow)
        for group in range(file.num_row_groups):
            end = first + file.metadata.row_group(group).num_rows
            lines = [position.line for position in positions if first <= position.line < end]
            if lines:
                _check_packed(file, group)
                table = file.read_row_group(group, columns=names)
                wanted = table.take([line - first for line in lines])
                columns = [_values(wanted.column(name)) for name in names]
                for line, row in zip(lines, zip(*columns, strict=True), strict=True):
                    yield _sealed_envelope(row, line, path)
            first = end


def _sealed_envelope(row: tuple[Any, ...], line: int, path: Path) -> Envelope:
    event, target, id, time, data, seq, *chain = row
    previous, hash = chain or (None, None)
    if not (event and time and data):
        not_an_event(path, line, ValueError("a field is empty"))
    if previous is not None:
        name = {"event": event, "id": id, "previous": previous, "seq": seq}
        text = hashed_text(data, name | {"target": target, "time": time})
        _check_hash(path, line, event, hash, [text.encode()])
    return Envelope(
        event, target, id, time, data, EventPosition(line, -1), seq, previous, hash, path
    )


def _envelope(text: bytes, position: EventPosition, path: Path) -> Envelope:
    """An event from one line, without parsing its data if the line is in canonical form."""
    cut = text.rfind(_NAME) if text.startswith(_DATA) else -1
    try:
        if cut > 0:
            name, raw = _parse(b"{" + text[cut + 1 :]), text[len(_DATA) : cut]
        else:
            name = _parse(text)
            raw = json.dumps(name["data"])
        event, time = str(name["event"]), str(name["time"])
        target, id, seq = name["target"], name["id"], name["seq"]
        previous, hash = name.get("previous"), name.get("hash")
        if not all(part is None or isinstance(part, str) for part in (target, id, previous, hash)):
            raise TypeError("a part of its name is not text")
        f"{event}{target}{id}".encode()  # half a surrogate pair fails
        if type(seq) is not int or abs(seq) >= 1 << 63:
            raise TypeError("its number is not one")
    except KeyError as error:
        not_an_event(path, position.line, ValueError(f"it has no {error}"))
    except (ValueError, TypeError, AttributeError) as error:
        not_an_event(path, position.line, error)
    if hash is not None:
        end = max(cut, 0)
        own = f'"hash":"{hash}",'.encode("utf-8", "replace")
        _check_hash(path, position.line, event, hash, [text[:end], text[end:-1].replace(own, b"")])
    return Envelope(event, target, id, time, raw, position, seq, previous, hash, path)


def _check_hash(
    path: Path, line: int, event: str, expected: str | None, parts: Iterable[bytes]
) -> None:
    """Compare an event's hash with its content, that is, the parts of its canonical JSON."""
    actual = hashlib.sha256()
    for part in parts:
        actual.update(part)
    if actual.hexdigest() != expected:
        raise CorruptError(
            f"{path}, line {line + 1} ({event}): the event was changed after it was written: it does "
            "not have the hash that it carries; restore the file from a copy"
        )
