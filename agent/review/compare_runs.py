"""Two runs side by side on the targets that both have, with paired tests. `difference` is b minus a."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from ...evals.statistics.paired import compare_means, compare_outcomes
from ...tools.errors import ArgumentError
from .run_catalog import StoredRun, stored_settings

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
_COMMON = "from targets a join b.targets b using (target)"


def compare(
    first: StoredRun, second: StoredRun, query: Mapping[str, str], offset: int, limit: int
) -> dict[str, Any]:
    """Compare two runs.

    Args:
        query: `sort` and `dir` of the list.
    """
    sort, direction = query.get("sort") or "position", query.get("dir") or "asc"
    if sort not in _SORTS or direction not in ("asc", "desc"):
        raise ArgumentError(
            f"sort by one of {', '.join(_SORTS)}, asc or desc; given {sort[:50]!r}, {direction[:50]!r}"
        )
    order = f"{_SORTS[sort]} is null, {_SORTS[sort]} {direction}, a.position"
    with first.store.reading_with(second.store) as db:
        return {
            "a": first.name,
            "b": second.name,
            "common": db.execute(f"select count(*) {_COMMON}").fetchone()[0],
            "offset": offset,
            "rows": _rows(db, order, offset, limit),
            "paired": _paired(db),
            "verdicts": _verdicts(db),
            "notices": _notices(db),
        }


def _rows(db: sqlite3.Connection, order: str, offset: int, limit: int) -> list[dict[str, Any]]:
    columns = [f"{side}.{name} {side}_{name}" for side in "ab" for name in _SIDE[1:]]
    rows = db.execute(
        f"select a.target, b.r - a.r difference, {', '.join(columns)}, "
        f"ax.explanation a_explanation, bx.explanation b_explanation {_COMMON} "
        "join texts ax on ax.position = a.position join b.texts bx on bx.position = b.position "
        f"order by {order} limit ? offset ?",
        [limit, offset],
    )
    return [_compared_target(row) for row in rows]


def _compared_target(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "target": row["target"],
        "difference": row["difference"],
        "a": {name: row[f"a_{name}"] for name in _SIDE},
        "b": {name: row[f"b_{name}"] for name in _SIDE},
    }


def _paired(db: sqlite3.Connection) -> dict[str, Any] | None:
    """The mean difference of r, over the targets that both runs scored."""
    rows = db.execute(
        f"select target, a.r, b.r {_COMMON} where a.r is not null and b.r is not null"
    ).fetchall()
    if not rows:
        return None
    comparison = compare_means({t: second for t, _, second in rows}, {t: r for t, r, _ in rows})
    value, low, high = comparison.difference
    return {
        "mean_difference": value,
        "low": low,
        "high": high,
        "p": comparison.p,
        "targets": comparison.pairs,
        "test": "sign-flip permutation",
    }


def _verdicts(db: sqlite3.Connection) -> dict[str, Any]:
    """Kept or not, over the targets that both runs decided on."""
    rows = db.execute(
        f"select a.verdict = 'kept', b.verdict = 'kept' {_COMMON} "
        f"where a.verdict in {_DECIDED} and b.verdict in {_DECIDED}"
    ).fetchall()
    comparison = compare_outcomes([bool(row[0]) for row in rows], [bool(row[1]) for row in rows])
    return comparison._asdict() | {"test": "McNemar, exact"}


def _notices(db: sqlite3.Connection) -> list[str]:
    """What makes a comparison of scores less than fair."""
    first, second = stored_settings(db) or {}, stored_settings(db, "b") or {}
    notices = []
    for name, key in (("subject", "revision"), ("corpus", "sha256")):
        if (first.get(name) or {}).get(key) != (second.get(name) or {}).get(key):
            notices.append(
                f"The two runs are on different {name}s: their scores are on different text or weights."
            )
    if first.get("max_contexts") != second.get("max_contexts"):
        notices.append("The two runs were scored on different numbers of contexts.")
    return notices
