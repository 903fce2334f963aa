"""Rewrites a run as an attacker could who knows hubel: with new hashes, so that the chain holds.

The chain has no key, so this is possible. Only a replay can then notice what it computes again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ...agent.runlog.chain import FILE, START
from ...agent.runlog.data_files import file_row
from ...agent.runlog.layout import EVENTS, SEAL
from ...agent.runlog.log import Event, RunLog, event_line, read_events
from ...agent.runlog.segments import canonical


def forge(folder: Path, change: Callable[[Event], Event | None] = lambda event: event) -> None:
    """Change events of a run's log; its files get the hashes that they have now.

    Sequence numbers and times stay. All events are then in one segment, sealed if the log was.

    Args:
        change: an event as it is to be; None removes it.
    """
    changed = [change(event) for event in read_events(folder)]
    events = [event for event in changed if event is not None]
    was_sealed = (folder / SEAL).exists()
    shutil.rmtree(folder / EVENTS)
    (folder / SEAL).unlink(missing_ok=True)
    write_events(folder, events)
    if was_sealed:
        RunLog(folder).seal()


def write_events(folder: Path, events: list[Event]) -> None:
    """Write a log with a new chain; its files' events get the hashes that the files have now."""
    (folder / EVENTS).mkdir()
    lines, head = [], START
    for event in events:
        data = event.data
        if event.event == FILE and (folder / str(event.id)).exists():
            data = file_row(folder / str(event.id))
        name = {"event": event.event, "target": event.target, "id": event.id, "previous": head}
        line, head = event_line(canonical(data), name | {"seq": event.seq, "time": event.time})
        lines.append(line)
    (folder / EVENTS / f"0001-{os.getpid()}.jsonl").write_bytes(b"".join(lines))
