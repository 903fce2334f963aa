"""All requests to a loopback server and their outcomes, to compare with a run's log."""

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
    """Hash of the request's body; equal requests have equal hashes."""
    room: str
    """Part of the URL before the protocol's path, by which one server tells runs apart."""
    key: str = ""
    """API key of the request, by which one server tells the processes of a run apart; never shown."""
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    """None while it is in flight."""
    status: int = 0
    """HTTP status; 0 if the client got no complete answer."""
    what: str = "open"
    """"answered", "error", the name of a fault, or "gone" when the client did not wait."""


class Ledger:
    """Every request in order of arrival. Thread-safe."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def open(self, hash: str, room: str, key: str = "") -> tuple[Entry, int]:
        """Record a request; returns its entry and how often it has come, this time included."""
        entry = Entry(hash, room, key)
        with self._lock:
            self._entries.append(entry)
            self._counts[room, hash] += 1
            return entry, self._counts[room, hash]

    def close(self, entry: Entry, status: int, what: str) -> None:
        """Record the outcome of a request."""
        with self._lock:
            entry.ended, entry.status, entry.what = time.monotonic(), status, what

    def entries(self, room: str | None = None) -> list[Entry]:
        """All requests, or those of one room."""
        with self._lock:
            return [entry for entry in self._entries if room is None or entry.room == room]

    def asked(self, room: str | None = None) -> Counter[tuple[str, str]]:
        """How often each request (room, hash) came."""
        return Counter((entry.room, entry.hash) for entry in self.entries(room))

    def answered(self, room: str | None = None) -> Counter[tuple[str, str]]:
        """How often each request (room, hash) got a complete good answer: what a provider would bill."""
        return Counter((e.room, e.hash) for e in self.entries(room) if e.what == "answered")

    def in_flight(self, full: int) -> float | None:
        """Mean number of requests in flight, between the first and the last moment at which `full` were.

        None if there never were that many at once.
        """
        entries = self.entries()
        steps = [(entry.started, 1) for entry in entries]
        steps += [(entry.ended, -1) for entry in entries if entry.ended is not None]
        steps.sort()
        times = [time for time, _ in steps]
        levels = list(itertools.accumulate(change for _, change in steps))
        reached = [place for place, level in enumerate(levels) if level >= full]
        if not reached or reached[-1] + 1 >= len(levels):
            return None
        first, last = reached[0], reached[-1] + 1
        area = sum(levels[at] * (times[at + 1] - times[at]) for at in range(first, last))
        return area / (times[last] - times[first])

    def to_json(self) -> dict[str, Any]:
        """Number of requests, of those in flight, of each outcome, and requests that came more than once."""
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
