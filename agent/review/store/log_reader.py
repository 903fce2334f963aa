"""The segments of a run's log, read from where one stopped: envelopes first, what is in them only
where it is wanted.

A line of the log is canonical JSON, so its `data` stands first and its name last:
``{"data":...,"event":"score",...}``. The name is cut off the end without reading the data, which
may be megabytes. Any other line is read whole.

    place of an event = (line, offset)      offset in bytes of a JSONL segment; of a sealed one the line alone counts
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from ...runlog.layout import EVENTS

MOST_AT_ONCE = 16 << 20
"""Bytes of a JSONL segment that are read in one go; one line may be longer."""
_TAIL = b',"event":'
_HEAD = b'{"data":'


class EventPosition(NamedTuple):
    """Where an event stands in its segment."""

    line: int
    offset: int


class Envelope(NamedTuple):
    """An event by its name, its data unread. `event` is "" for a line that cannot be read."""

    event: str
    target: str | None
    id: str | None
    time: str
    raw: bytes | str
    place: EventPosition

    def data(self) -> Any:
        """The event's data; None where it cannot be read."""
        try:
            return _parsed(self.raw)
        except ValueError:
            return None


def _parsed(text: bytes | str) -> Any:
    """JSON several times faster than the standard library reads it, which is asked about what this
    finds wrong: a lone surrogate or a NaN is no reason to lose an event."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def segments(folder: Path) -> dict[str, Path]:
    """Stem to file, in the order of writing; of one that is there in both forms the sealed one."""
    found = {p.stem: p for p in (folder / EVENTS).glob("[0-9]*-*.jsonl")}
    found |= {p.stem: p for p in (folder / EVENTS).glob("[0-9]*-*.parquet")}
    return {stem: found[stem] for stem in sorted(found)}


def read_lines(path: Path, start: EventPosition, most: int = MOST_AT_ONCE) -> Iterator[Envelope]:
    """The whole lines of a JSONL segment from a place on, until so many bytes are read."""
    with path.open("rb") as file:
        file.seek(start.offset)
        line, offset = start
        while offset - start.offset < most:
            text = file.readline()
            if not text.endswith(b"\n"):
                return
            yield _envelope(text, EventPosition(line, offset))
            line, offset = line + 1, offset + len(text)


def read_sealed(path: Path, start: int) -> Iterator[Envelope]:
    """The rows of a sealed segment from a line on, one row group in memory at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        line = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if line + rows > start:
                for batch in file.iter_batches(batch_size=2048, row_groups=[group]):
                    yield from _rows(batch, line, start)
                    line += batch.num_rows
            else:
                line += rows


def _rows(batch: Any, line: int, start: int) -> Iterator[Envelope]:
    columns = [batch.column(name).to_pylist() for name in ("event", "target", "id", "time", "data")]
    for number, (event, target, id, time, data) in enumerate(zip(*columns, strict=True), line):
        if number >= start:
            yield Envelope(
                event or "", target, id, time or "", data or "null", EventPosition(number, -1)
            )


def fetch(path: Path, places: Iterable[EventPosition]) -> Iterator[Envelope]:
    """The events at these places of a segment, in the order of their lines."""
    wanted = sorted(set(places))
    if not wanted:
        return iter(())
    return _fetch_sealed(path, wanted) if path.suffix == ".parquet" else _fetch_lines(path, wanted)


def _fetch_lines(path: Path, wanted: list[EventPosition]) -> Iterator[Envelope]:
    with path.open("rb") as file:
        for place in wanted:
            file.seek(place.offset)
            yield _envelope(file.readline(), place)


def _fetch_sealed(path: Path, wanted: list[EventPosition]) -> Iterator[Envelope]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        first, ahead = 0, wanted
        for group in range(file.num_row_groups):
            past = first + file.metadata.row_group(group).num_rows
            here = [place for place in ahead if place.line < past]
            ahead = ahead[len(here) :]
            if here:
                table = file.read_row_group(
                    group, columns=["event", "target", "id", "time", "data"]
                )
                rows = table.take([place.line - first for place in here]).to_pylist()
                for place, row in zip(here, rows, strict=True):
                    yield Envelope(
                        row["event"], row["target"], row["id"], row["time"], row["data"], place
                    )
            first = past


def _envelope(text: bytes, place: EventPosition) -> Envelope:
    cut = text.rfind(_TAIL)
    try:
        if text.startswith(_HEAD) and cut > 0:
            name, raw = _parsed(b"{" + text[cut + 1 :]), text[len(_HEAD) : cut]
        else:
            name = _parsed(text)
            raw = json.dumps(name["data"])
        return Envelope(
            str(name["event"]), name["target"], name["id"], str(name["time"]), raw, place
        )
    except (ValueError, KeyError, TypeError):
        return Envelope("", None, None, "", b"null", place)
