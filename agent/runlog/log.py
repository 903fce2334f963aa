"""The run log: append-only JSONL segments with one writer each. A crash costs at most the last line.

    runs/NAME/events/0001-PID.jsonl      one segment per writer; a resumed run opens the next number
    runs/NAME/events/0001-PID.parquet    the same segment, sealed

An event is one line: ``{"seq", "time", "event", "target", "id", "data", "previous", "hash"}``. The
triple (event, target, id) names it: when a step is done again after a kill, its events are written
again under the same name, and a reader sees the last. Steps count their ids per target and never draw
them, so that a repeated run has the same names. `hash` is that of the event, and `previous` that of
the event before it (`chain`).

Three readers: the loop looks events up here (`RunLog`), SQL goes through `views`, and the review
page reads single events. All three read them with `segments`, which checks each.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ...tools.errors import UsageError
from ...tools.files import file_sha256
from ...tools.files.regular_file import IrregularFileError, check_inside
from .chain import ChainReader
from .event_shelf import EventShelf, FileShelf, Place
from .layout import CHECKPOINTS, COLLECTED, EVENTS, LEXICON, LOCK
from .seal import Seal, read_seal, write_seal
from .segments import Envelope, canonical, hashed_text, not_an_event, read_segment, segments

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
    previous: str | None = None
    hash: str | None = None


class EventName(NamedTuple):
    """What names an event: of several with one name the last counts."""

    event: str
    target: str | None
    id: str | None

    def __str__(self) -> str:
        return " ".join(filter(None, (self.target, self.event, self.id)))


Entry = tuple[EventName, Data]
"""An event to be written: its name and its data."""


class RunLog:
    """The events of one run: append, and look up by name.

    The whole log is read on opening, so open one per process, not one per target. Of each event only its
    name stays in memory, so what is looked up is parsed each time. Safe to use from many threads.

    Args:
        writable: whether events are written to the folder; otherwise they are only kept here.
        read: whether the events in the folder are read.
        shelf: where the texts of the events are kept; a temporary file by default.
    """

    def __init__(
        self,
        folder: Path,
        *,
        writable: bool = True,
        read: bool = True,
        shelf: EventShelf | None = None,
    ) -> None:
        self.folder = folder
        self._shelf = shelf or FileShelf()
        self._lock = threading.Lock()
        self._events: dict[tuple[str, str | None], dict[str | None, Place]] = defaultdict(dict)
        self._segment: int | None = None
        self._seq = 0
        self._writable = writable
        reader = ChainReader(folder)
        for envelope in reader if read else ():
            _event(envelope)  # refused here, and not when it is looked up, if it is no event
            name = EventName(envelope.event, envelope.target, envelope.id)
            self._keep(name, envelope.raw)
        state = reader.state()
        self.is_chained = not state.unchained
        """Whether all events have hashes; not so in runs that were begun before the chain."""
        self.is_empty = not state.events
        """Whether the log had no event when it was opened."""
        self._head, self._count, self._unchained = state.head, state.events, state.unchained

    def write(
        self, event: str, data: Data, *, target: str | None = None, id: str | None = None
    ) -> None:
        """Append one event; it is in the operating system's hands when this returns."""
        self.write_all([(EventName(event, target, id), data)])

    def write_all(self, entries: Sequence[Entry]) -> None:
        """Append several events in one go: after a crash the log has all of them or none that count.

        Args:
            entries: the one that makes the others count, such as a conclusion, comes last.
        """
        texts = [(storable(data), name) for name, data in entries]
        with self._lock:
            if self._writable:
                self._append(*((text, name._asdict()) for text, name in texts))
            for text, name in texts:
                self._keep(name, text)

    def _append(self, *events: tuple[str, dict[str, Any]]) -> None:
        """Write the lines of events, data and name of each, and remember the last one's hash."""
        descriptor, lines = self._descriptor(), bytearray()
        head, seq = self._head, self._seq
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        for data, name in events:
            named = name | {"previous": head, "seq": seq + 1, "time": now}
            line, head = event_line(data, named)
            lines, seq = lines + line, seq + 1
        append_line(descriptor, bytes(lines))
        self._count += seq - self._seq
        self._head, self._seq = head, seq

    def _keep(self, name: EventName, text: str | bytes) -> None:
        """Keep an event, as a process that reads the log would see it."""
        encoded = text if isinstance(text, bytes) else text.encode()
        self._events[sys.intern(name.event), name.target][name.id] = self._shelf.add(encoded)

    def _read(self, place: Place) -> Data:
        return json.loads(self._shelf.read(place))

    def has(self, event: str, target: str | None = None, id: str | None = None) -> bool:
        """Whether there is an event of that name; looks nothing up."""
        return id in self._events.get((event, target), ())

    def get(self, event: str, target: str | None = None, id: str | None = None) -> Data | None:
        """The last event of that name, or None."""
        place = self._events.get((event, target), {}).get(id)
        return None if place is None else self._read(place)

    def all(self, event: str, target: str | None = None) -> dict[str | None, Data]:
        """Id to data of every event of a kind that one target has, in the order of first writing."""
        with self._lock:
            places = dict(self._events.get((event, target), {}))
        return {id: self._read(place) for id, place in places.items()}

    def named_events(self) -> Iterator[tuple[EventName, Data]]:
        """The last event of every name, with its data."""
        with self._lock:
            kept = [(key, dict(by_id)) for key, by_id in self._events.items()]
        for (event, target), by_id in kept:
            for id, place in by_id.items():
                yield EventName(event, target, id), self._read(place)

    def targets(self, event: str) -> dict[str | None, Data]:
        """Target to data of every event of a kind that has no id (conclusions, failures)."""
        with self._lock:
            kept = [
                (target, by_id) for (kind, target), by_id in self._events.items() if kind == event
            ]
        return {target: self._read(by_id[None]) for target, by_id in kept if None in by_id}

    def close(self) -> None:
        """Close this writer's segment."""
        with self._lock:
            if self._segment is not None:
                os.close(self._segment)
                self._segment = None

    def seal(self) -> None:
        """Close the log of a run that has ended: its segments become Parquet, its end is written down.

        Does nothing if nothing was written since the last call. If it is killed, the log is still
        complete, and the next call does the rest.
        """
        seal = read_seal(self.folder)
        is_sealed = seal is not None and seal.events == self._count
        if not self._count or (is_sealed and not any((self.folder / EVENTS).glob("*.jsonl"))):
            return
        if not is_sealed:
            self.write("sealed", {"events": self._count})
        self.close()
        _to_parquet(self.folder)
        hashes = {path.name: file_sha256(path) for path in segments(self.folder).values()}
        files = {str(id): row["sha256"] for id, row in self.all("file").items()}
        write_seal(self.folder, Seal(self._count, self._unchained, self._head, hashes, files))

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

    A full disk may take only part of a line. It is removed again, as the next line would follow on it.
    """
    end = os.fstat(descriptor).st_size
    try:
        while line:  # a write may take only part of the line
            line = line[os.write(descriptor, line) :]
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def storable(data: Data) -> str:
    """Canonical JSON that UTF-8 can hold: "?" for each lone surrogate, which a model may write."""
    return canonical(data).encode("utf-8", "replace").decode()


def event_line(data: str, name: dict[str, Any]) -> tuple[bytes, str]:
    """The line of an event, and its hash.

    Args:
        data: its data as canonical JSON, `storable`.
        name: event, id, previous, seq, target and time.
    """
    hash = hashlib.sha256(hashed_text(data, name).encode("utf-8", "replace")).hexdigest()
    line = hashed_text(data, name | {"hash": hash}) + "\n"
    return line.encode("utf-8", "replace"), hash


def read_events(folder: Path) -> Iterator[Event]:
    """Every complete event of a run, oldest first; raises CorruptError as `ChainReader` does."""
    return map(_event, ChainReader(folder))


def _event(envelope: Envelope) -> Event:
    """An event with its data parsed by the standard library, which keeps integers of any size."""
    try:
        data = json.loads(envelope.raw)
        if not isinstance(data, dict):
            raise TypeError("its data is not an object")
    except (ValueError, TypeError) as error:
        not_an_event(envelope.segment, envelope.position.line, error)
    return Event(
        envelope.seq,
        envelope.time,
        envelope.event,
        envelope.target,
        envelope.id,
        data,
        envelope.previous,
        envelope.hash,
    )


def _to_parquet(folder: Path) -> None:
    """Turn every JSONL segment into Parquet; if killed, each is complete in one of the two forms."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in segments(folder).values():
        sealed = path.with_suffix(".parquet")
        if path.suffix == ".jsonl":
            partial, envelopes = sealed.with_suffix(".partial"), read_segment(path)
            try:
                with pq.ParquetWriter(partial, event_schema(), compression="zstd") as writer:
                    while rows := [
                        _sealed_row(envelope) for envelope in islice(envelopes, SEALED_ROWS)
                    ]:
                        writer.write_table(pa.Table.from_pylist(rows, schema=event_schema()))
                if pq.read_metadata(partial).num_rows:
                    os.replace(partial, sealed)
            finally:
                partial.unlink(missing_ok=True)
        path.with_suffix(".jsonl").unlink(missing_ok=True)


def _sealed_row(envelope: Envelope) -> dict[str, Any]:
    """An event as a row of a sealed segment; `data` stays the text of which the hash was made."""
    raw = envelope.raw
    data = raw.decode() if isinstance(raw, bytes) else raw
    names = ("seq", "time", "event", "target", "id", "previous", "hash")
    return {name: getattr(envelope, name) for name in names} | {"data": data}


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
            ("previous", text),
            ("hash", text),
        ]
    )


def _refuse_link(path: Path) -> None:
    """Raise UsageError if a path that a writer writes to is a link out of the run's folder."""
    try:
        check_inside(path, path.parent)
    except IrregularFileError as error:
        raise UsageError(f"{path} is {error.strerror}, and is not written to; remove it") from None


class WriterLock:
    """Holds a run for one writing process, so that `resume` is refused while `run` still works on it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK

    def __enter__(self) -> WriterLock:
        for name in (EVENTS, COLLECTED, LEXICON, CHECKPOINTS, LOCK):
            _refuse_link(self._path.parent / name)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise UsageError(
                f"{self._path.parent} is being written by another hubel process; wait for it or stop "
                "it first"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
