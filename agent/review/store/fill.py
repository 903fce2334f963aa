"""Filling a store from its run's log, from where the last filling stopped.

1. Of each segment the store knows how far it was read: line and offset. A segment that was read and
   is gone, or is shorter now, means that the run was made anew: the store is emptied.
2. The next lines are read in steps of some megabytes. Of every event its place is kept under its
   target, so that a target's page reads its own events only.
3. What columns and searches need is read out of conclusions, scores, failures, verdicts,
   observations and replies (`columns`).
4. Places and progress of a step are written in one transaction: killed anywhere, or with another
   process at the same store, nothing is lost and nothing is counted twice.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import islice
from pathlib import Path

from ....tools.errors import UsageError
from ....tools.subject.address import Unit
from ...runlog.config import RunConfig
from ...runlog.layout import CONFIG
from ...runlog.nulls import is_control
from .database import Store, get_meta, set_meta
from .log_reader import MOST_AT_ONCE, Envelope, EventPosition, read_lines, read_sealed, segments
from .write_rows import FillState, StoreWriter

LINES_AT_ONCE = 20_000

Progress = Callable[[int, int], None]
"""Told how many bytes of the log are read, and how many there are."""


def behind(store: Store) -> int:
    """Bytes of the log that the store has not read. Looks at sizes only."""
    with store.reading() as db:
        known, registered = _known(db), get_meta(db, "config") is not None
    if not registered:
        return 1 + sum(path.stat().st_size for path in segments(store.folder).values())
    return sum(_unread(path, known.get(stem)) for stem, path in segments(store.folder).items())


def fill(store: Store, progress: Progress = lambda read, of: None) -> None:
    """Read all that the log has grown by.

    Raises:
        UsageError: the run was written by a newer hubel.
        CorruptError: its configuration cannot be read.
    """
    if _is_another(store):
        store.forget()
    elif behind(store) == 0:
        return
    with store.writing() as db:
        if get_meta(db, "config") is None:
            _register(db, store.folder)
        positions = {
            row["target"]: row["position"]
            for row in db.execute("select target, position from targets")
        }
        known = _known(db)
        filled = FillState(positions, empty=not known, known=known)
    ahead = segments(store.folder)
    total, read = sum(path.stat().st_size for path in ahead.values()), 0
    for stem, path in ahead.items():
        while True:
            with store.writing() as db:
                place = _step(db, stem, path, filled)
            if place is None:
                break
            progress(read + max(place.offset, 0), total)
        read += path.stat().st_size if path.exists() else 0
    progress(total, total)


def _is_another(store: Store) -> bool:
    """Whether the store was filled from what is not there any more."""
    with store.reading() as db:
        known, digest = _known(db), get_meta(db, "config")
    there = segments(store.folder)
    if digest is not None and digest != _digest(store.folder):
        return True
    return any(
        stem not in there
        or (there[stem].suffix == ".jsonl" and there[stem].stat().st_size < place.offset)
        for stem, place in known.items()
    )


def _digest(folder: Path) -> str:
    file = folder / CONFIG
    return _digest_of(file, file.stat().st_mtime_ns) if file.is_file() else ""


@lru_cache(maxsize=4096)
def _digest_of(file: Path, _changed: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _known(db: sqlite3.Connection) -> dict[str, EventPosition]:
    return {
        row["stem"]: EventPosition(row["line"], row["offset"])
        for row in db.execute("select * from segments")
    }


def _unread(path: Path, known: EventPosition | None) -> int:
    try:
        size = path.stat().st_size
    except FileNotFoundError:  # sealed this moment
        return 0
    if path.suffix == ".parquet":
        if known is None or known.offset == -size:
            return size if known is None else 0
        return (
            size if known.line < _sealed_lines(path) else 1
        )  # all of it was read before it was sealed
    return max(0, size - (known.offset if known else 0))


def _sealed_lines(path: Path) -> int:
    import pyarrow.parquet as pq

    return pq.read_metadata(path).num_rows


def _register(db: sqlite3.Connection, folder: Path) -> None:
    """Put down the registered targets."""
    config = RunConfig.load(folder)
    rows = []
    for position, target in enumerate(config.targets):
        kind = config.nulls.get(target)
        name = "unit" if kind is None else "control" if is_control(kind) else "null"
        rows.append((position, target, *_place_of(target), name))
    db.executemany(
        "insert or ignore into targets (position, target, side, layer, site, kind) values (?,?,?,?,?,?)",
        rows,
    )
    db.executemany("insert into texts (position) values (?)", [(row[0],) for row in rows])
    about = {k: v for k, v in vars(config).items() if k not in ("targets", "nulls")}
    set_meta(db, "about", json.dumps(about))
    set_meta(db, "config", _digest(folder))


def _place_of(target: str) -> tuple[str, int, str]:
    try:
        unit = Unit.parse(target)
    except UsageError:  # a name of a newer or foreign kind is shown all the same
        return "both", -1, ""
    return unit.side, unit.layer, unit.site


def _step(db: sqlite3.Connection, stem: str, path: Path, filled: FillState) -> EventPosition | None:
    """Read the next lines of a segment; None when there are none."""
    filled.check(_known(db))
    start = filled.known.get(stem, EventPosition(0, 0))
    lines: Iterable[Envelope]
    try:
        if path.suffix == ".parquet":
            lines = list(islice(read_sealed(path, start.line), LINES_AT_ONCE))
        else:
            lines = list(read_lines(path, start, MOST_AT_ONCE))
    except FileNotFoundError:  # sealed this moment: the next filling reads on in the sealed form
        return None
    if not lines:
        if (
            path.suffix == ".parquet"
        ):  # read whole: from now on its size says so, without opening it
            filled.known[stem] = EventPosition(start.line, -path.stat().st_size)
            _keep(db, stem, filled.known[stem], 0)
        return None
    last = lines[-1]
    end = EventPosition(
        last.place.line + 1, _end(path, last.place) if path.suffix == ".jsonl" else -1
    )
    if get_meta(db, "started") is None:
        set_meta(db, "started", next((line.time for line in lines if line.time), None))
    unreadable = sum(not line.event for line in lines)
    StoreWriter(db, stem, filled).take(lines)
    _keep(db, stem, end, unreadable)
    filled.known[stem] = end
    set_meta(db, "version", (get_meta(db, "version") or 0) + 1)
    return end


def _keep(db: sqlite3.Connection, stem: str, end: EventPosition, unreadable: int) -> None:
    """Put down how far a segment is read; the offset of a sealed one that is read whole is minus its size."""
    db.execute(
        "insert into segments values (?, ?, ?, ?) on conflict (stem) do update set line = excluded.line, "
        "offset = excluded.offset, unreadable = unreadable + excluded.unreadable",
        [stem, end.line, end.offset, unreadable],
    )


def _end(path: Path, place: EventPosition) -> int:
    with path.open("rb") as file:
        file.seek(place.offset)
        return place.offset + len(file.readline())


def notices(db: sqlite3.Connection) -> list[str]:
    """What a reader of the log should know about it."""
    count = db.execute("select coalesce(sum(unreadable), 0) from segments").fetchone()[0]
    return [f"{count} lines of the log cannot be read and are left out"] if count else []
