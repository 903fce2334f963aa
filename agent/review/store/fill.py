"""Fill a run's store from its log, from where the last filling stopped.

1. The store knows how far each segment was read: line and offset. If a segment that was read is gone,
   is shorter or was changed, or the configuration was, the store is emptied.
2. The next lines are read in steps of some megabytes. The position of every event is kept under its
   target, so that the page of a target reads its own events only.
3. Values for columns and searches come from conclusions, scores, failures, verdicts, observations
   and replies (`write_rows`).
4. The chain of events is followed from where it was, and compared with the seal at the end.
5. Rows and progress of a step are written in one transaction. Killed anywhere, or with another
   process at the same store, nothing is lost and nothing is counted twice.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

from ....tools.errors import CorruptError, UsageError
from ....tools.subject.address import Unit
from ...runlog.chain import START, follow
from ...runlog.config import RunConfig
from ...runlog.layout import CONFIG, SEAL
from ...runlog.nulls import is_control
from ...runlog.seal import read_seal
from ...runlog.segments import (
    BYTES_AT_ONCE,
    Envelope,
    EventPosition,
    read_lines,
    read_sealed,
    segments,
)
from .database import Store, bump_version, get_meta, set_meta
from .write_rows import FillState, StoreWriter

LINES_AT_ONCE = 20_000
"""Rows of a sealed segment that are read in one step."""

Progress = Callable[[int, int], None]
"""Called with the bytes of the log that are read, and with all of them."""


def unread_bytes(store: Store) -> int:
    """Bytes of the log that the store has not read; looks at file sizes only."""
    with store.reading() as db:
        progress, registered = _progress(db), get_meta(db, "config") is not None
    if not registered:
        return 1 + sum(path.stat().st_size for path in segments(store.folder).values())
    return sum(_unread(path, progress.get(stem)) for stem, path in segments(store.folder).items())


def fill(store: Store, report: Progress = lambda read, total: None) -> None:
    """Read everything that was added to the log.

    Raises:
        UsageError: the run was written by a newer hubel.
        CorruptError: its log or its configuration was changed, or cannot be read.
    """
    # 1. start over, or find where to go on
    if _is_another_run(store):
        store.clear()
    elif unread_bytes(store) == 0:
        _check_end(store)
        return
    with store.writing() as db:
        if get_meta(db, "config") is None:
            _register_targets(db, store.folder)
        targets = db.execute("select target, position from targets")
        positions = {row["target"]: row["position"] for row in targets}
        progress = _progress(db)
        state = FillState(positions, empty=not progress, progress=progress)
    # 2. to 5. step by step, so that other processes may read and fill in between
    paths = segments(store.folder)
    total, read, head = sum(path.stat().st_size for path in paths.values()), 0, START
    for stem, path in paths.items():
        while True:
            with store.writing() as db:
                position = _step(db, stem, path, state, head)
            if position is None:
                break
            report(read + max(position.offset, 0), total)
        with store.reading() as db:
            head = _head(db, stem) or head
        read += path.stat().st_size if path.exists() else 0
    _check_end(store)
    report(total, total)


def _check_end(store: Store) -> None:
    """Compare what was read with what the run says of itself: the configuration's hash, and the seal."""
    with store.reading() as db:
        started_with, digest = get_meta(db, "started_with"), get_meta(db, "config")
        events = db.execute("select coalesce(sum(line), 0) from segments").fetchone()[0]
    if started_with not in (None, digest):
        raise CorruptError(
            f"{store.folder / CONFIG} was changed after the run started; restore it from a copy"
        )
    seal = read_seal(store.folder)
    if seal is not None and events < seal.events:
        raise CorruptError(
            f"{store.folder} has {events} events, but {SEAL} says that there were {seal.events}: "
            "the end of the log was removed; restore it from a copy"
        )


def _head(db: sqlite3.Connection, stem: str) -> str:
    """Where the chain is after what was read of a segment; "" if nothing was."""
    row = db.execute("select head from segments where stem = ?", [stem]).fetchone()
    return row["head"] if row else ""


def _is_another_run(store: Store) -> bool:
    """Whether the store was filled from a run that was in this folder before, or from files that were changed."""
    with store.reading() as db:
        progress, digest = _progress(db), get_meta(db, "config")
        changed = {row["stem"]: row["changed"] for row in db.execute("select * from segments")}
    if digest is not None and digest != _config_digest(store.folder):
        return True
    paths = segments(store.folder)
    for stem, position in progress.items():
        path = paths.get(stem)
        if path is None:
            return True
        status = path.stat()
        if path.suffix == ".jsonl" and status.st_size < position.offset:
            return True
        same_size = status.st_size == abs(position.offset)
        if same_size and changed[stem] not in (0, status.st_mtime_ns):
            return True
    return False


def _config_digest(folder: Path) -> str:
    file = folder / CONFIG
    return _digest(file, file.stat().st_mtime_ns) if file.is_file() else ""


@lru_cache(maxsize=4096)
def _digest(file: Path, _changed: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _progress(db: sqlite3.Connection) -> dict[str, EventPosition]:
    rows = db.execute("select * from segments")
    return {row["stem"]: EventPosition(row["line"], row["offset"]) for row in rows}


def _unread(path: Path, position: EventPosition | None) -> int:
    """Bytes of a segment that the store has not read yet."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:  # sealed this moment
        return 0
    if path.suffix == ".jsonl":
        return max(0, size - (position.offset if position else 0))
    if position is None:
        return size
    if position.offset == -size:  # read completely in its sealed form
        return 0
    # All of it may have been read before it was sealed; one step then notes its size.
    return size if position.line < _sealed_rows(path) else 1


def _sealed_rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return pq.read_metadata(path).num_rows


def _register_targets(db: sqlite3.Connection, folder: Path) -> None:
    """Enter the targets of a run and its settings into an empty store."""
    config = RunConfig.load(folder)
    rows = []
    for position, target in enumerate(config.targets):
        null = config.nulls.get(target)
        kind = "unit" if null is None else "control" if is_control(null) else "null"
        rows.append((position, target, *_side_layer_site(config, target), kind))
    db.executemany(
        "insert or ignore into targets (position, target, side, layer, site, kind) values (?,?,?,?,?,?)",
        rows,
    )
    db.executemany("insert into texts (position) values (?)", [(row[0],) for row in rows])
    settings = {k: v for k, v in config.to_settings().items() if k not in ("targets", "nulls")}
    set_meta(db, "about", json.dumps(settings))
    set_meta(db, "config", _config_digest(folder))


def _side_layer_site(config: RunConfig, target: str) -> tuple[str, int, str]:
    try:
        unit = Unit.parse(target)
    except UsageError:  # an address that this version does not know is shown all the same
        return "both", -1, ""
    return unit.side, config.layer_of(unit), unit.site


def _step(
    db: sqlite3.Connection, stem: str, path: Path, state: FillState, head: str
) -> EventPosition | None:
    """Read the next lines of a segment; returns how far it is read, or None when there are none.

    Args:
        head: where the chain is after the segment before.
    """
    state.update_progress(_progress(db))
    start = state.progress.get(stem, EventPosition(0, 0))
    sealed = path.suffix == ".parquet"
    reader = read_sealed(path, start.line) if sealed else read_lines(path, start)
    try:
        lines = list(_some(reader) if sealed else reader)
    except FileNotFoundError:  # sealed this moment: the next filling goes on in the sealed file
        return None
    if not lines:
        if sealed:  # read completely: minus its size says so without opening it again
            size = EventPosition(start.line, -path.stat().st_size)
            _keep_progress(db, stem, size, _head(db, stem) or head, path, state)
        return None
    head = _head(db, stem) or head
    for line in lines:
        head = follow(line, head)
    last = lines[-1].position
    end = EventPosition(last.line + 1, -1 if sealed else _end_of_line(path, last.offset))
    if get_meta(db, "started") is None:
        set_meta(db, "started", next((line.time for line in lines if line.time), None))
    StoreWriter(db, stem, state).write(lines)
    _keep_progress(db, stem, end, head, path, state)
    bump_version(db)
    return end


def _some(lines: Iterator[Envelope]) -> Iterator[Envelope]:
    """As many rows of a sealed segment as are read in one step."""
    read = 0
    for line in islice(lines, LINES_AT_ONCE):
        yield line
        read += len(line.raw)
        if read > BYTES_AT_ONCE:
            return


def _keep_progress(
    db: sqlite3.Connection, stem: str, end: EventPosition, head: str, path: Path, state: FillState
) -> None:
    status = path.stat()
    # Of a segment that grew meanwhile it cannot be said when it was as long as it was read.
    changed = status.st_mtime_ns if status.st_size == abs(end.offset) else 0
    db.execute(
        "insert or replace into segments values (?, ?, ?, ?, ?)",
        [stem, end.line, end.offset, head, changed],
    )
    state.progress[stem] = end


def _end_of_line(path: Path, offset: int) -> int:
    with path.open("rb") as file:
        file.seek(offset)
        return offset + len(file.readline())
