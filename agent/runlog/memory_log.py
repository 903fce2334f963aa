"""A log in memory, for an investigation that another process writes down.

A worker on another node investigates a target against such a log, which begins with the events that
the investigation needs. What it wrote goes to the process that owns the run's log (`run.target_piece`),
as there is only ever one writer of a log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from .event_shelf import MemoryShelf
from .log import Entry, RunLog


class MemoryLog(RunLog):
    """Events that are looked up as in a run's log, and taken out again target by target.

    Args:
        folder: of the run; nothing is read from it or written to it here.
        entries: those with which the log begins.
    """

    def __init__(self, folder: Path, entries: Iterable[Entry] = ()) -> None:
        super().__init__(folder, writable=False, read=False, shelf=MemoryShelf())
        self._written: dict[str | None, list[Entry]] = {}
        self.add(entries)

    def add(self, entries: Iterable[Entry]) -> None:
        """Events from the run's log, which are not written to it again."""
        super().write_all([*entries])

    def write_all(self, entries: Sequence[Entry]) -> None:
        """Keep events, and remember them for `take`."""
        super().write_all(entries)
        with self._lock:
            for name, _ in entries:
                written = self._read(self._events[name.event, name.target][name.id])
                self._written.setdefault(name.target, []).append((name, written))

    def take(self, target: str) -> list[Entry]:
        """What was written about a target, in order; all of it and of what it began with is forgotten."""
        with self._lock:
            for key in [key for key in self._events if key[1] == target]:
                del self._events[key]
            return self._written.pop(target, [])
