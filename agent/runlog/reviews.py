"""What people say of a run's targets: events like all others, in segments of their own.

    runs/NAME/reviews/20250301T101500-4711-9f3a.jsonl      one segment a reviewing process

A run's own log is held by whoever writes the run; reviewers do not need that lock, do not wait for
each other, and nothing that runs, replays or decides reads what they write. Events, in the form of
the log:

    review           data {verdict: approve | reject | edit | note, text, predicate, note, name, after_viewing, score}
    review_undone    data {of, name}       takes back a review of the same person
    holdout_opened   data {name}           from then on what is said of the target is said after viewing
    review_scored    data {of, corpus, score, error}     how an edit that was made after viewing does on other text
"""

from __future__ import annotations

import json
import os
import secrets
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .layout import REVIEWS
from .log import Event, canonical

SCORED = "review_scored"
DECISIONS = ("approve", "reject", "edit")
"""What a review can say of a target; a note says nothing."""


class Reviews:
    """The reviews of one run: read all, add one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / REVIEWS
        self._lock = threading.Lock()
        self._signature: tuple[tuple[str, int], ...] = ()
        self._events: list[Event] = []
        self._own: Path | None = None
        self._written = 0

    def signature(self) -> tuple[tuple[str, int], ...]:
        """Changes when anybody writes a review."""
        return tuple(
            (p.name, p.stat().st_size)
            for p in sorted(self._folder.glob("*.jsonl"))
            if not p.is_symlink()
        )

    def events(self) -> list[Event]:
        """All events of all reviewers, in the order of time."""
        with self._lock:
            signature = self.signature()
            if signature != self._signature:
                found = [event for name, _ in signature for event in _read(self._folder / name)]
                self._events = sorted(found, key=lambda event: (event.time, event.id or ""))
                self._signature = signature
            return self._events

    def write(self, event: str, target: str, data: dict[str, Any]) -> Event:
        """Append an event to this process's segment."""
        with self._lock:
            if self._own is None:
                self._folder.mkdir(exist_ok=True)
                now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
                self._own = self._folder / f"{now}-{os.getpid()}-{secrets.token_hex(2)}.jsonl"
            self._written += 1
            time = datetime.now(UTC).isoformat(timespec="microseconds")
            line = Event(
                self._written, time, event, target, f"{self._own.stem}/{self._written}", data
            )
            text = (canonical(line._asdict()) + "\n").encode("utf-8", "replace")
            descriptor = os.open(self._own, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(descriptor, text)
            finally:
                os.close(descriptor)
            return line

    def standing(self) -> dict[str, list[Event]]:
        """Target to its reviews that nobody took back, oldest first."""
        undone = {e.data.get("of") for e in self.events() if e.event == "review_undone"}
        found: dict[str, list[Event]] = {}
        for event in self.events():
            if event.event == "review" and event.id not in undone and event.target is not None:
                found.setdefault(event.target, []).append(event)
        return found

    def opened(self, target: str) -> dict[str, str] | None:
        """Who opened a target's held-out text first, and when."""
        for event in self.events():
            if event.event == "holdout_opened" and event.target == target:
                return {"name": str(event.data.get("name")), "time": event.time}
        return None

    def elsewhere(self) -> dict[str, dict[str, Any]]:
        """Id of an edit to how it does on other text; of several attempts the last."""
        return {str(e.data.get("of")): e.data for e in self.events() if e.event == SCORED}

    def shown(self, target: str) -> list[dict[str, Any]]:
        """A target's standing reviews as the page shows them."""
        scored = self.elsewhere()
        return [
            shown(event) | {"elsewhere": scored.get(event.id or "")}
            for event in self.standing().get(target, [])
        ]


def last_decision(events: list[Event]) -> Event | None:
    """The last of some reviews that decides something."""
    return next(
        (event for event in reversed(events) if event.data.get("verdict") in DECISIONS), None
    )


def shown(event: Event) -> dict[str, Any]:
    """A review as the page shows it."""
    keys = ("verdict", "text", "predicate", "note", "name", "after_viewing", "score")
    return {key: event.data.get(key) for key in keys} | {"time": event.time, "id": event.id}


def _read(path: Path) -> list[Event]:
    """The whole lines of a segment; what cannot be read is left out."""
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]:
        try:
            event = Event(**json.loads(line))
        except (ValueError, TypeError):
            continue
        if isinstance(event.data, dict) and isinstance(event.time, str):
            found.append(event)
    return found
