"""Segments of a run's log, read from any position: the envelopes first, an event's data only on demand.

A line of the log is canonical JSON, so its `data` comes first and its name last:
``{"data":...,"event":"score",...}``. The name is read from the end of the line without parsing the
data, which may be megabytes. Any other line is parsed whole.

The position of an event is its line in the segment and, for JSONL, the offset of that line in bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from .layout import EVENTS

BYTES_AT_ONCE = 16 << 20
"""How much of a JSONL segment is read in one step; a single line may be longer."""
_DATA, _NAME = b'{"data":', b',"event":'
_COLUMNS = ["event", "target", "id", "time", "data"]


class EventPosition(NamedTuple):
    """Where an event is in its segment. `offset` is -1 in a sealed segment."""

    line: int
    offset: int


class Envelope(NamedTuple):
    """An event with its data unparsed. `event` is "" for a line that cannot be read."""

    event: str
    target: str | None
    id: str | None
    time: str
    raw: bytes | str
    position: EventPosition

    def data(self) -> Any:
        """The event's data, parsed; None if it is not valid JSON."""
        try:
            return _parse(self.raw)
        except ValueError:
            return None


def _parse(text: bytes | str) -> Any:
    """Parse JSON with orjson, which is several times faster, or else with the standard library.

    orjson refuses lone surrogates and NaN, which are not a reason to lose an event.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def segments(folder: Path) -> dict[str, Path]:
    """Stem to file of a run's segments, in the order of writing; the sealed file where there are both."""
    files = {path.stem: path for path in (folder / EVENTS).glob("[0-9]*-*.jsonl")}
    files |= {path.stem: path for path in (folder / EVENTS).glob("[0-9]*-*.parquet")}
    return {stem: files[stem] for stem in sorted(files)}


def read_lines(path: Path, start: EventPosition, limit: int = BYTES_AT_ONCE) -> Iterator[Envelope]:
    """The complete lines of a JSONL segment from a position on, until `limit` bytes are read."""
    with path.open("rb") as file:
        file.seek(start.offset)
        line, offset = start
        while offset - start.offset < limit:
            text = file.readline()
            if not text.endswith(b"\n"):
                return
            yield _envelope(text, EventPosition(line, offset))
            line, offset = line + 1, offset + len(text)


def read_sealed(path: Path, start: int) -> Iterator[Envelope]:
    """The rows of a sealed segment from a line on, with one row group in memory at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        line = 0
        for group in range(file.num_row_groups):
            group_rows = file.metadata.row_group(group).num_rows
            if line + group_rows <= start:
                line += group_rows
                continue
            for batch in file.iter_batches(batch_size=2048, row_groups=[group]):
                columns = [batch.column(name).to_pylist() for name in _COLUMNS]
                for number, row in enumerate(zip(*columns, strict=True), line):
                    if number >= start:
                        yield _sealed_envelope(row, number)
                line += batch.num_rows


def fetch(path: Path, positions: Iterable[EventPosition]) -> Iterator[Envelope]:
    """The events at these positions of a segment, in the order of their lines."""
    ordered = sorted(set(positions))
    if not ordered:
        return iter(())
    return (
        _fetch_sealed(path, ordered) if path.suffix == ".parquet" else _fetch_lines(path, ordered)
    )


def _fetch_lines(path: Path, positions: list[EventPosition]) -> Iterator[Envelope]:
    with path.open("rb") as file:
        for position in positions:
            file.seek(position.offset)
            yield _envelope(file.readline(), position)


def _fetch_sealed(path: Path, positions: list[EventPosition]) -> Iterator[Envelope]:
    """Events of a Parquet segment; reads only the row groups that hold one of the positions."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        first = 0
        for group in range(file.num_row_groups):
            end = first + file.metadata.row_group(group).num_rows
            lines = [position.line for position in positions if first <= position.line < end]
            if lines:
                table = file.read_row_group(group, columns=_COLUMNS)
                rows = table.take([line - first for line in lines]).to_pylist()
                for line, row in zip(lines, rows, strict=True):
                    yield _sealed_envelope(tuple(row[name] for name in _COLUMNS), line)
            first = end


def _sealed_envelope(row: tuple[Any, ...], line: int) -> Envelope:
    event, target, id, time, data = row
    return Envelope(event or "", target, id, time or "", data or "null", EventPosition(line, -1))


def _envelope(text: bytes, position: EventPosition) -> Envelope:
    """An event from one line, without parsing its data if the line is in canonical form."""
    cut = text.rfind(_NAME)
    try:
        if text.startswith(_DATA) and cut > 0:
            name, raw = _parse(b"{" + text[cut + 1 :]), text[len(_DATA) : cut]
        else:
            name = _parse(text)
            raw = json.dumps(name["data"])
        event, time = str(name["event"]), str(name["time"])
        return Envelope(event, name["target"], name["id"], time, raw, position)
    except (ValueError, KeyError, TypeError):
        return Envelope("", None, None, "", b"null", position)
