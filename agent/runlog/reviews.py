"""What people say about a run's targets: events like all others, in separate segments.

    runs/NAME/reviews/20250301T101500-4711-9f3a.jsonl      one segment for each reviewing process

The process that writes a run holds the lock of its log. Reviewers do not need that lock and do not
wait for each other, and nothing that runs, replays or decides reads what they write. Events, in the
form of the log:

    review           data {verdict: approve | reject | edit | note, text, predicate, note, name,
                     after_viewing, score}
    review_undone    data {of, name}: takes back a review of the same person
    holdout_opened   data {name}: later reviews of the target are made after viewing
    review_scored    data {of, corpus, score, error}: an edit that was made after viewing, on other text
    file             data {path, sha256, bytes}: activations that were collected for it (`data_files`)

Each segment has its own writer and is a separate chain (`chain`). It is never sealed, since anybody
may add reviews at any time; what was cut off at the end of a segment is not noticed.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

from ...tools.errors import UsageError
from ...tools.files.regular_file import IrregularFileError, check_regular, make_inside
from .chain import FILE, START, follow
from .event_shapes import REVIEWS as REVIEW_SHAPES
from .event_shapes import misfit
from .layout import REVIEWS
from .log import Event, append_line, event_line, storable
from .segments import not_an_event, read_segment, readable

SCORED = "review_scored"
DECISIONS = ("approve", "reject", "edit")
"""Reviews that decide something about a target; a note does not."""


class ReviewRow(TypedDict):
    """A review as the page shows it."""

    id: str | None
    time: str
    verdict: str
    text: str | None
    predicate: str | None
    note: str | None
    name: str
    after_viewing: bool | None
    score: dict[str, Any] | None


class ReviewRowWithScore(ReviewRow):
    """A review with the score of its predicate on other text."""

    elsewhere: dict[str, Any] | None


class Reviews:
    """The reviews of one run: read all, add one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / REVIEWS
        self._lock = threading.Lock()
        self._signature: tuple[tuple[str, int], ...] = ()
        self._events: list[Event] = []
        self._own_segment: Path | None = None
        self._written, self._head = 0, START

    def signature(self) -> tuple[tuple[str, int], ...]:
        """Changes when anybody writes a review."""
        if self._folder.is_symlink():  # it leads to somebody else's reviews, or anywhere
            return ()
        files = [file for file in sorted(self._folder.glob("*.jsonl")) if not file.is_symlink()]
        return tuple((file.name, _size(file)) for file in files)

    def events(self) -> list[Event]:
        """All events of all reviewers, in the order of time."""
        with self._lock:
            signature = self.signature()
            if signature != self._signature:
                events = [event for name, _ in signature for event in _read(self._folder / name)]
                self._events = sorted(events, key=lambda event: (event.time, event.id or ""))
                self._signature = signature
            return self._events

    def write(self, event: str, target: str, data: dict[str, Any]) -> Event:
        """Append an event to this process's segment."""
        with self._lock:
            now = datetime.now(UTC)
            if self._own_segment is None:
                self._make_folder()
                segment = f"{now:%Y%m%dT%H%M%S}-{os.getpid()}-{secrets.token_hex(2)}.jsonl"
                self._own_segment = self._folder / segment
            number = self._written + 1
            id = f"{self._own_segment.stem}/{number}"
            time = now.isoformat(timespec="microseconds")
            name = {"event": event, "id": id, "previous": self._head, "seq": number}
            text = storable(data)
            line, head = event_line(text, name | {"target": target, "time": time})
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
            descriptor = os.open(self._own_segment, flags, 0o644)
            try:
                append_line(descriptor, line)
            finally:
                os.close(descriptor)
            self._written, self._head = number, head
            return Event(number, time, event, target, id, json.loads(text))

    def _make_folder(self) -> None:
        try:
            make_inside(self._folder, self._folder.parent)
        except IrregularFileError as error:
            raise UsageError(
                f"{self._folder} is {error.strerror}, so no review is written; remove it"
            ) from None

    def by_target(self) -> dict[str, list[Event]]:
        """Each target's reviews that were not taken back, oldest first."""
        undone = {e.data.get("of") for e in self.events() if e.event == "review_undone"}
        reviews: dict[str, list[Event]] = {}
        for event in self.events():
            if event.event == "review" and event.id not in undone and event.target is not None:
                reviews.setdefault(event.target, []).append(event)
        return reviews

    def opened(self, target: str) -> dict[str, str] | None:
        """Name and time of the person who opened a target's held-out text first; None if nobody did."""
        for event in self.events():
            if event.event == "holdout_opened" and event.target == target:
                return {"name": str(event.data.get("name")), "time": event.time}
        return None

    def files(self) -> dict[str, str]:
        """Hashes of the files that were collected to score an edit."""
        rows = [event.data for event in self.events() if event.event == FILE]
        return {str(row.get("path")): str(row.get("sha256")) for row in rows}

    def rows(self, target: str) -> list[ReviewRowWithScore]:
        """A target's reviews that were not taken back, as the page shows them."""
        # By the id of the edit: if it was scored more than once, the last score counts.
        scores = {str(e.data.get("of")): e.data for e in self.events() if e.event == SCORED}
        return [
            ReviewRowWithScore(**review_row(event), elsewhere=scores.get(event.id or ""))
            for event in self.by_target().get(target, [])
        ]


def last_decision(reviews: list[Event]) -> Event | None:
    """The last review that approves, rejects or edits; None if there are only notes."""
    decisions = (event for event in reversed(reviews) if event.data.get("verdict") in DECISIONS)
    return next(decisions, None)


def review_row(event: Event) -> ReviewRow:
    """A review as the page shows it."""
    names = ("verdict", "text", "predicate", "note", "name", "after_viewing", "score")
    values: dict[str, Any] = {name: event.data.get(name) for name in names}
    return ReviewRow(id=event.id, time=event.time, **values)


def _size(path: Path) -> int:
    with readable(path):
        check_regular(path)
        return path.stat().st_size


def _read(path: Path) -> list[Event]:
    """The complete lines of a segment.

    Raises:
        CorruptError: a line was changed, removed or cannot be read.
    """
    events: list[Event] = []
    head = START
    for line in read_segment(path):
        head = follow(line, head)
        data, number = line.data(), line.position.line + 1
        if fault := misfit(line.event, data, REVIEW_SHAPES):
            not_an_event(path, line.position.line, ValueError(fault))
        events.append(Event(number, line.time, line.event, line.target, line.id, data))
    return events
