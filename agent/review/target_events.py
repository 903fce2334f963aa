"""The events of one target, read from the log at the positions that the store keeps."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

from ..runlog.event_shapes import misfit
from ..runlog.layout import EVENTS
from ..runlog.segments import Envelope, EventPosition, fetch, segments
from .run_catalog import StoredRun, safe_path


class TargetEvents:
    """The events of one target without replies: the last of each name, in the order of first writing."""

    def __init__(self, envelopes: Iterable[Envelope]) -> None:
        self.data: dict[tuple[str, str | None], dict[str, Any]] = {}
        self.time: dict[tuple[str, str | None], str] = {}
        self.faults: list[str] = []
        """What is wrong with events that are left out."""
        for envelope in envelopes:
            data = _data(envelope)
            if isinstance(data, str):
                self.faults.append(data)
            else:
                self.data[envelope.event, envelope.id] = data
                self.time[envelope.event, envelope.id] = envelope.time

    def get(self, event: str, id: str | None = None) -> dict[str, Any]:
        """The data of the last event of that name, or an empty dictionary."""
        return self.data.get((event, id), {})

    def all(self, event: str) -> dict[str | None, dict[str, Any]]:
        """Id to data of every event of a kind."""
        return {id: data for (name, id), data in self.data.items() if name == event}


def _data(envelope: Envelope) -> dict[str, Any] | str:
    """An event's data, or why it is left out."""
    data = envelope.data()
    if fault := misfit(envelope.event, data):
        return f"An event cannot be read and is left out ({envelope.event} {envelope.id or ''}): {fault}."
    return data


def read_target_events(run: StoredRun, db: sqlite3.Connection, position: int) -> TargetEvents:
    """Read a target's events, without the replies of a language model."""
    by_segment: dict[str, list[EventPosition]] = {}
    rows = db.execute(
        "select stem, packed from places where position = ? and not talk order by rowid", [position]
    )
    for row in rows:
        numbers = array("q", row["packed"])  # line, offset, line, offset, ...
        positions = map(EventPosition, numbers[::2], numbers[1::2])
        by_segment.setdefault(row["stem"], []).extend(positions)
    paths = segments(run.folder)
    return TargetEvents(
        envelope
        for stem in sorted(by_segment.keys() & paths.keys())
        for envelope in fetch(safe_path(run, EVENTS, paths[stem].name), by_segment[stem])
    )


def read_replies(
    run: StoredRun, rows: Iterable[Mapping[str, Any] | sqlite3.Row]
) -> list[dict[str, Any]]:
    """Read journaled replies.

    Args:
        rows: stem, line, offset and `defines` of each, from the store.
    """
    paths, replies = segments(run.folder), []
    for row in rows:
        if row["stem"] not in paths:
            continue
        path = safe_path(run, EVENTS, paths[row["stem"]].name)
        for envelope in fetch(path, [EventPosition(row["line"], row["offset"])]):
            data = _data(envelope)
            reply = {"answer": {"text": data}} if isinstance(data, str) else data
            replies.append(reply | {"time": envelope.time, "defines": row["defines"]})
    return replies
