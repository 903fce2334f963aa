"""Targets as rows of a list, with the last that a person said of each."""

from __future__ import annotations

import sqlite3
from typing import Any

from ..runlog.reviews import last_decision, shown
from .run_catalog import StoredRun, UnknownName
from .tables import one_row


def row_of(run: StoredRun, db: sqlite3.Connection, target: str) -> dict[str, Any]:
    """A target's row with its last review.

    Raises:
        UnknownName: the run has no such target.
    """
    row = one_row(db, target)
    if row is None:
        raise UnknownName(
            f"{run.name} has no target {target[:100]!r}; its list of targets shows those that it has"
        )
    return with_reviews(run, [row])[0]


def with_reviews(run: StoredRun, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with who said what last."""
    standing = run.reviews.standing()
    for row in rows:
        last = last_decision(standing.get(row["target"], []))
        row["review"] = (
            None if last is None else {k: shown(last)[k] for k in ("verdict", "name", "time")}
        )
    return rows
