"""The run log: append-only JSONL segments with one writer each. A crash costs at most an unfinished last line.

    runs/NAME/events/0001-PID.jsonl      one segment per writer; a resumed run opens the next number
    runs/NAME/events/0001-PID.parquet    the same segment, sealed

An event is one line: ``{"seq", "time", "event", "target", "id", "data"}``. The triple (event,
target, id) names it: when a step is done again after a kill, its events are written again under the
same name, and a reader sees the last. Steps count their ids per target and never draw them, so that
a repeated run has the same names.

Three readers: the loop looks events up here (`RunLog`), SQL goes through `views`, and the review
page reads single events from `segments`, whose list of files all three share.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ...tools.errors import UsageError
from .layout import EVENTS, LOCK
from .segments import segments

Data = dict[str, Any]
SEALED_ROWS = 2048
"""Events per row group of a sealed segment; to look up one event, its whole group is read."""


class Event(NamedTuple):
    """One line of the log. `data` is JSON; `time` is UTC, and no figure of a run depends on it."""

    seq: int
    time: str
    event: str
    target: str | None
    id: str | None
    data: Data


def canonical(value: Any) -> str:
    """JSON that is the same for equal values: sorted keys, no spaces. NaN and infinities are refused."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


class RunLog:
    """The events of one run: append, and look up by name.

    The whole log is read on opening, so open one per process, not one per target. Safe to use from many
    threads.
    """

    def __init__(self, folder: Path, *, writable: bool = True) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._events: dict[tuple[str, str | None], dict[str | None, Data]] = defaultdict(dict)
        self._named: dict[str, dict[str | None, Data]] = defaultdict(dict)
        """Event to target to data, of events that have no id."""
        self._segment: int | None = None
        self._seq = 0
        self._writable = writable
        for event in read_events(folder):
            self._keep(event.event, event.target, event.id, event.data)

    def write(
        self, event: str, data: Data, *, target: str | None = None, id: str | None = None
    ) -> None:
        """Append one event; it is in the operating system's hands when this returns."""
        text = canonical(data)
        stored = json.loads(text)  # what a process that reads the log would see
        with self._lock:
            self._seq += 1
            if self._writable:
                now = datetime.now(UTC).isoformat(timespec="milliseconds")
                named = {"event": event, "id": id, "seq": self._seq, "target": target, "time": now}
                append_line(
                    self._descriptor(), f'{{"data":{text},{canonical(named)[1:]}\n'.encode()
                )
            self._keep(event, target, id, stored)

    def _keep(self, event: str, target: str | None, id: str | None, data: Data) -> None:
        self._events[event, target][id] = data
        if id is None:
            self._named[event][target] = data

    def get(self, event: str, target: str | None = None, id: str | None = None) -> Data | None:
        """The last event of that name, or None."""
        by_id = self._events.get((event, target))
        return by_id.get(id) if by_id else None

    def all(self, event: str, target: str | None = None) -> dict[str | None, Data]:
        """Id to data of every event of a kind that one target has, in the order of first writing."""
        with self._lock:
            return dict(self._events.get((event, target), {}))

    def targets(self, event: str) -> dict[str | None, Data]:
        """Target to data of every event of a kind that has no id (conclusions, failures)."""
        with self._lock:
            return dict(self._named.get(event, {}))

    def close(self) -> None:
        """Close this writer's segment."""
        with self._lock:
            if self._segment is not None:
                os.close(self._segment)
                self._segment = None

    def _descriptor(self) -> int:
        if self._segment is None:
            events = self.folder / EVENTS
            events.mkdir(parents=True, exist_ok=True)
            number = 1 + max(
                (int(p.name.split("-")[0]) for p in segments(self.folder).values()), default=0
            )
            path = events / f"{number:04d}-{os.getpid()}.jsonl"
            self._segment = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        return self._segment


def append_line(descriptor: int, line: bytes) -> None:
    """Append a whole line or nothing.

    Part of a line, left by a full disk, would spoil the next one too, which would follow on the same
    line. So it is taken back.
    """
    end = os.fstat(descriptor).st_size
    try:
        while line:  # a write may take only part of the line
            line = line[os.write(descriptor, line) :]
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def read_events(folder: Path) -> Iterator[Event]:
    """Every complete event of a run, oldest first. A crash may leave an unfinished last line in a segment."""
    for path in segments(folder).values():
        yield from _read_parquet(path) if path.suffix == ".parquet" else _read_jsonl(path)


def _read_jsonl(path: Path) -> Iterator[Event]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if not line.endswith("\n"):
                return
            yield Event(**json.loads(line))


def _read_parquet(path: Path) -> Iterator[Event]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(batch_size=4096):
        for row in batch.to_pylist():
            yield Event(**{**row, "data": json.loads(row["data"])})


def seal_segments(folder: Path) -> None:
    """Turn every JSONL segment into Parquet. Killed anywhere, each segment is complete in one form or the other."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in segments(folder).values():
        sealed = path.with_suffix(".parquet")
        if path.suffix == ".jsonl":
            rows = [{**e._asdict(), "data": canonical(e.data)} for e in _read_jsonl(path)]
            if rows:
                partial = sealed.with_suffix(".partial")
                table = pa.Table.from_pylist(rows, schema=event_schema())
                pq.write_table(table, partial, compression="zstd", row_group_size=SEALED_ROWS)
                os.replace(partial, sealed)
        path.with_suffix(".jsonl").unlink(missing_ok=True)


def event_schema() -> Any:
    """The columns of a sealed segment, for pyarrow."""
    import pyarrow as pa

    text = pa.string()
    return pa.schema(
        [
            ("seq", pa.int64()),
            ("time", text),
            ("event", text),
            ("target", text),
            ("id", text),
            ("data", text),
        ]
    )


class WriterLock:
    """Holds a run for one writing process, so that `resume` is refused while `run` still works on it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK

    def __enter__(self) -> WriterLock:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            message = f"{self._path.parent} is being written by another hubel process; wait for it or stop it first"
            raise UsageError(message) from None
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
