"""What a loopback server was asked and what became of it: the other side's book, to hold a run's log against."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Entry:
    """One request. Times are seconds of this machine's monotonic clock."""

    hash: str
    """Of the request's body: equal requests have the same."""
    room: str
    """What the URL says before the protocol's own path, so that one server tells many runs apart."""
    key: str = ""
    """The key that came with it, so that one server tells the processes of a run apart; it is shown nowhere."""
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    """None while it is being answered."""
    status: int = 0
    """0 where the client got no whole answer."""
    what: str = "open"
    """"answered", "error", the name of a fault, or "gone" when the client did not wait."""


class Ledger:
    """Every request in the order of coming. Safe to use from many threads."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._times: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def open(self, hash: str, room: str, key: str = "") -> tuple[Entry, int]:
        """Write a request down; also says the how-manieth time it came."""
        entry = Entry(hash, room, key)
        with self._lock:
            self._entries.append(entry)
            self._times[room, hash] += 1
            return entry, self._times[room, hash]

    def close(self, entry: Entry, status: int, what: str) -> None:
        """Write down what it got."""
        with self._lock:
            entry.ended, entry.status, entry.what = time.monotonic(), status, what

    def entries(self, room: str | None = None) -> list[Entry]:
        """All requests, or those of one room."""
        with self._lock:
            return [entry for entry in self._entries if room is None or entry.room == room]

    def asked(self, room: str | None = None) -> Counter[tuple[str, str]]:
        """(room, hash) to how often it came."""
        return Counter((entry.room, entry.hash) for entry in self.entries(room))

    def answered(self, room: str | None = None) -> Counter[tuple[str, str]]:
        """(room, hash) to how often a whole good answer went out: what a provider would bill."""
        return Counter((e.room, e.hash) for e in self.entries(room) if e.what == "answered")

    def in_flight(self, full: int) -> float | None:
        """Mean number of requests being answered between the first and the last moment at which
        `full` were.

        None when there never were so many at once.
        """
        steps = sorted(
            (moment, change)
            for e in self.entries()
            for moment, change in ((e.started, 1), (e.ended, -1))
            if moment is not None
        )
        levels: list[tuple[float, int]] = []
        for moment, change in steps:
            levels.append((moment, (levels[-1][1] if levels else 0) + change))
        reached = [i for i, (_, level) in enumerate(levels) if level >= full]
        if not reached or reached[-1] + 1 >= len(levels):
            return None
        between = levels[reached[0] : reached[-1] + 2]
        area = sum(level * (after[0] - at) for (at, level), after in itertools.pairwise(between))
        return area / (between[-1][0] - between[0][0])

    def to_json(self) -> dict[str, Any]:
        """Requests by room, how often each kind of answer went out, and what came more than once."""
        entries = self.entries()
        again = {
            f"{room}/{hash}".lstrip("/"): n for (room, hash), n in self.asked().items() if n > 1
        }
        return {
            "requests": len(entries),
            "in_flight": sum(e.ended is None for e in entries),
            "answers": dict(Counter(e.what for e in entries if e.ended is not None)),
            "asked_again": again,
        }
