"""Targets of a run as rows of a list: sorted, filtered, in pages, each with its last review."""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from ...tools.errors import ArgumentError
from ..runlog.reviews import last_decision, review_row
from ..runlog.tiers import TIERS
from .run_catalog import StoredRun, UnknownName
from .search import full_text_query

_TIER_ORDER = " ".join(f"when '{tier}' then {place}" for place, tier in enumerate(TIERS))
SORTS = {
    name: f't."{name}"'
    for name in (
        "position", "target", "layer", "side", "site", "status", "verdict", "p", "r", "low",
        "high", "select", "drop", "trivial", "token_lookup", "shuffled", "list", "rotated",
        "headline_r", "meaning_r", "bits", "usd", "calls", "seconds", "review",
    )
} | {"tier": f"case t.tier {_TIER_ORDER} end"}  # fmt: skip
"""What a list can be sorted by, and the column."""
MAX_ROWS = 1000
"""Rows that one answer holds at most."""
MAX_VALUES = 500
"""Values of one filter; a run has no more layers than that, and SQLite takes 32,766 in all."""
FILTERS = ("layer", "site", "side", "tier", "verdict", "status", "review", "kind")
RANGES = ("r", "select", "drop", "p", "headline_r", "meaning_r")
_COLUMNS = (
    "position", "target", "side", "layer", "site", "kind", "status", "tier", "headline",
    "artefact", "verdict", "reason", "explanation", "predicate", "meaning", "residue", "bits",
    "p", "r", "low", "high", "headline_r", "meaning_r", "list", "rotated", "select", "drop",
    "trivial", "token_lookup", "shuffled", "usd", "calls", "seconds", "error", "review",
)  # fmt: skip
_OUTCOME = """case when t.status <> 'done' then t.status when t.verdict = 'pending' then 'undecided'
    else t.verdict end"""
"""What a filter by verdict compares: the words that the list shows and the runs' rows count."""
_ROW = """select t.*, x.explanation, x.predicate, x.headline, x.meaning, x.residue, x.reason, x.error"""


@dataclass(frozen=True)
class TargetQuery:
    """Which targets, in what order."""

    sort: str = "position"
    descending: bool = False
    offset: int = 0
    limit: int = 100
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Column to the values that are let through; "none" is null."""
    minimum: Mapping[str, float] = field(default_factory=dict)
    maximum: Mapping[str, float] = field(default_factory=dict)
    words: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> TargetQuery:
        """Parse the query of a request.

        Raises:
            ArgumentError: a value is not valid; the message says which ones are.
        """
        sort = query.get("sort") or "position"
        if sort not in SORTS:
            raise ArgumentError(
                f"sort={sort[:50]!r} is not known; sort by one of {', '.join(SORTS)}"
            )
        filters = {name: _listed(query, name) for name in FILTERS if query.get(name)}
        return cls(
            sort=sort,
            descending=_is_descending(query),
            offset=whole_number(query, "offset", 0, 10**9),
            limit=whole_number(query, "limit", 100, MAX_ROWS),
            filters=filters,
            minimum=_bounds(query, "min"),
            maximum=_bounds(query, "max"),
            words=query.get("q", ""),
        )


def _listed(query: Mapping[str, str], name: str) -> list[str]:
    """The values that a filter lets through."""
    values = query[name].split(",")
    if len(values) > MAX_VALUES:
        raise ArgumentError(f"{name} has {len(values)} values; a filter takes {MAX_VALUES}")
    for value in values if name == "layer" else ():
        if value != "none" and not re.fullmatch("-?[0-9]{1,9}", value):
            raise ArgumentError(f"layer={value[:50]!r} is not the number of a layer, or none")
    return values


def _bounds(query: Mapping[str, str], end: Literal["min", "max"]) -> dict[str, float]:
    """Column to its smallest or largest value."""
    return {name: _number(query, f"{name}_{end}") for name in RANGES if query.get(f"{name}_{end}")}


def _is_descending(query: Mapping[str, str]) -> bool:
    direction = query.get("dir") or "asc"
    if direction not in ("asc", "desc"):
        raise ArgumentError(f"dir={direction[:50]!r} is not known; give asc or desc")
    return direction == "desc"


def whole_number(query: Mapping[str, str], name: str, default: int, limit: int) -> int:
    """A whole number of a query, at least 0, and lowered to `limit`."""
    text = query.get(name)
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise ArgumentError(f"{name}={text[:50]!r} is not a whole number from 0 on")
    return min(int(text), limit)


def _number(query: Mapping[str, str], name: str) -> float:
    text = query[name]
    try:
        value = float(text)
    except ValueError:
        raise ArgumentError(f"{name}={text[:50]!r} is not a number") from None
    if not math.isfinite(value):
        raise ArgumentError(f"{name}={text[:50]!r} is not a finite number")
    return value


class TargetRows(NamedTuple):
    """One page of a list, with the number of targets in all pages."""

    total: int
    offset: int
    rows: list[dict[str, Any]]


def list_targets(db: sqlite3.Connection, query: TargetQuery) -> TargetRows:
    """One page of targets; those without a value in the sorted column come last in either direction.

    `review` is only the last decision's verdict; `with_reviews` adds who made it and when.
    """
    where, values = _where(query)
    total = db.execute(f"select count(*) from targets t {where}", values).fetchone()[0]
    column, direction = SORTS[query.sort], "desc" if query.descending else "asc"
    order = f"{column} is null, {column} {direction}, t.position"
    if query.sort == "position":
        order = f"t.position {direction}"
    # The page is selected by position first, so that texts are read for its rows only.
    rows = db.execute(
        f"{_ROW} from (select position from targets t {where} order by {order} limit ? offset ?) page "
        f"join targets t using (position) join texts x using (position) order by {order}",
        [*values, query.limit, query.offset],
    )
    return TargetRows(total, query.offset, [_as_dict(row) for row in rows])


def row_of(run: StoredRun, db: sqlite3.Connection, target: str) -> dict[str, Any]:
    """A target's row with its last review.

    Raises:
        UnknownName: the run has no such target.
    """
    row = db.execute(
        f"{_ROW} from targets t join texts x using (position) where target = ?", [target]
    ).fetchone()
    if row is None:
        raise UnknownName(f"{run.name} has no target {target[:100]!r}; its page lists its targets")
    return with_reviews(run, [_as_dict(row)])[0]


def _as_dict(row: sqlite3.Row) -> dict[str, Any]:
    return {name: row[name] for name in _COLUMNS}


def with_reviews(run: StoredRun, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the last decision on each: verdict, name and time."""
    reviews = run.reviews.by_target()
    for row in rows:
        decision = last_decision(reviews.get(row["target"], []))
        review = review_row(decision) if decision else None
        row["review"] = review and {name: review[name] for name in ("verdict", "name", "time")}
    return rows


def _where(query: TargetQuery) -> tuple[str, list[Any]]:
    """The SQL `where` clause of a query, and the values of its placeholders.

    Only column names are formatted into the SQL, and they come from `FILTERS` and `RANGES`.
    """
    conditions: list[str] = []
    values: list[Any] = []
    for name, allowed in query.filters.items():
        alternatives: list[str] = []
        if listed := [value for value in allowed if value != "none"]:
            placeholders = ", ".join("?" * len(listed))
            column = _OUTCOME if name == "verdict" else f't."{name}"'
            alternatives.append(f"{column} in ({placeholders})")
        if "none" in allowed:
            alternatives.append(f't."{name}" is null')
        conditions.append(f"({' or '.join(alternatives)})")
        values += [int(value) if name == "layer" else value for value in listed]
    for operator, bounds in ((">=", query.minimum), ("<=", query.maximum)):
        conditions += [f't."{name}" {operator} ?' for name in bounds]
        values += bounds.values()
    if query.words.strip():
        if match := full_text_query(query.words):
            conditions.append(
                "t.position in (select rowid from explanations_text where explanations_text match ?)"
            )
            values.append(match)
        else:  # only punctuation, which matches no explanation
            conditions.append("0")
    return (f"where {' and '.join(conditions)}" if conditions else ""), values
