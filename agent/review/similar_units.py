"""A target's nearest units as the run recorded them, with what the run itself says of those that are its targets."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from ...tools.errors import UsageError
from ...tools.subject.address import Unit


def nearest(
    db: sqlite3.Connection, target: str, recorded: Mapping[str, Any]
) -> list[dict[str, Any]] | None:
    """Lists of neighbours, by direction and by being active together; None when the run recorded
    none.

    Each has `by` (write, move, together), `compared` (units that there were), and `alike` and
    `opposite`: unit, value (cosine or r), where it stands as seen from the target, and the run's
    target of that unit with its explanation and verdict, null where the run has none.
    """
    if not recorded:
        return None
    mine = Unit.parse(target)
    lists = [found for kind in ("direction", "together") if (found := recorded.get(kind))]
    return [
        {"by": found.get("by"), "compared": found.get("compared")}
        | {side: _shown(db, mine, found.get(side) or ()) for side in ("alike", "opposite")}
        for found in lists
    ]


def _shown(
    db: sqlite3.Connection, mine: Unit, listed: Sequence[Sequence[Any]]
) -> list[dict[str, Any]]:
    return [
        {"unit": unit, "value": value, "where": _where(unit, mine)} | _known(db, unit)
        for unit, value in listed
    ]


def _where(address: str, mine: Unit) -> str | None:
    from ...tools.instruments.similar_units import relative_depth

    try:
        return relative_depth(Unit.parse(address), mine)
    except UsageError:
        return None


def _known(db: sqlite3.Connection, unit: str) -> dict[str, Any]:
    """Of a unit that is a target too: by that very address, or by one of its sides."""
    found = db.execute(
        "select target, explanation, verdict from targets join texts using (position) "
        "where target in (?, ?, ?) order by target <> ? limit 1",
        [unit, f"{unit}+", f"{unit}-", unit],
    ).fetchone()
    return dict(found) if found else dict.fromkeys(("target", "explanation", "verdict"))
