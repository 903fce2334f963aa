"""Two runs on the targets that both were asked for, side by side, with paired tests. `difference` is b minus a."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from ...evals.statistics.paired import compare_means as compare_scores
from ...evals.statistics.paired import compare_outcomes
from ...tools.errors import ArgumentError
from .run_catalog import StoredRun, stored_settings
from .tables import MOST, whole

_SORTS = {
    "position": "a.position",
    "target": "a.target",
    "difference": "b.r - a.r",
    "a": "a.r",
    "b": "b.r",
    "layer": "a.layer",
}
_SIDE = ("explanation", "verdict", "r", "low", "high")
_DECIDED = "('kept', 'rejected', 'inconclusive')"


def compare(first: StoredRun, second: StoredRun, query: Mapping[str, str]) -> dict[str, Any]:
    """The comparison of two runs.

    Args:
        query: sort, dir, offset, limit of the list.
    """
    sort, direction = query.get("sort") or "position", query.get("dir") or "asc"
    if sort not in _SORTS or direction not in ("asc", "desc"):
        raise ArgumentError(
            f"sort by one of {', '.join(_SORTS)}, asc or desc; given {sort[:50]!r}, {direction[:50]!r}"
        )
    with first.store.reading_with(second.store) as db:
        common = db.execute(
            "select count(*) from targets a join b.targets b using (target)"
        ).fetchone()[0]
        return {
            "a": first.name,
            "b": second.name,
            "common": common,
            "offset": whole(query, "offset", 0, 10**9),
            "rows": _rows(
                db, f"{_SORTS[sort]} is null, {_SORTS[sort]} {direction}, a.position", query
            ),
            "paired": _paired(db),
            "verdicts": _verdicts(db),
            "notices": _differences(db),
        }


def _rows(db: sqlite3.Connection, order: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
    found = db.execute(
        f"""select a.target, b.r - a.r difference, ax.explanation a_explanation, bx.explanation b_explanation,
                   {", ".join(f"{side}.{name} {side}_{name}" for side in "ab" for name in _SIDE[1:])}
            from targets a join b.targets b using (target) join texts ax on ax.position = a.position
                 join b.texts bx on bx.position = b.position
            order by {order} limit ? offset ?""",
        [whole(query, "limit", 100, MOST), whole(query, "offset", 0, 10**9)],
    )
    return [
        {"target": row["target"], "difference": row["difference"]}
        | {side: {name: row[f"{side}_{name}"] for name in _SIDE} for side in "ab"}
        for row in found
    ]


def _paired(db: sqlite3.Connection) -> dict[str, Any] | None:
    both = db.execute(
        "select target, a.r, b.r from targets a join b.targets b using (target) "
        "where a.r is not null and b.r is not null"
    ).fetchall()
    if not both:
        return None
    found = compare_scores({row[0]: row[2] for row in both}, {row[0]: row[1] for row in both})
    value, low, high = found.difference
    return {"mean_difference": value, "low": low, "high": high, "p": found.p} | {
        "targets": found.pairs,
        "test": "sign-flip permutation",
    }


def _verdicts(db: sqlite3.Connection) -> dict[str, Any]:
    """Of kept or not, over the targets that both runs decided on."""
    both = db.execute(
        "select a.verdict = 'kept', b.verdict = 'kept' from targets a join b.targets b using (target) "
        f"where a.verdict in {_DECIDED} and b.verdict in {_DECIDED}"
    ).fetchall()
    found = compare_outcomes([bool(row[0]) for row in both], [bool(row[1]) for row in both])
    return found._asdict() | {"test": "McNemar, exact"}


def _differences(db: sqlite3.Connection) -> list[str]:
    """What makes a comparison of scores less than fair."""
    first, second = stored_settings(db) or {}, stored_settings(db, "b") or {}
    found = []
    for what, key in (("subject", "revision"), ("corpus", "sha256")):
        if (first.get(what) or {}).get(key) != (second.get(what) or {}).get(key):
            found.append(
                f"The two runs are on different {what}s: their scores are on different text or weights."
            )
    if first.get("max_contexts") != second.get("max_contexts"):
        found.append("The two runs were scored on different numbers of contexts.")
    return found
