"""Targets of a run, sorted and filtered; words searched in explanations, transcripts and exemplars. Reads the store."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...tools.errors import ArgumentError

SORTS = {
    name: f't."{name}"'
    for name in (
        "position", "target", "layer", "side", "site", "status", "verdict", "p", "r", "low", "high", "select", "drop",
        "trivial", "token_lookup", "shuffled", "usd", "calls", "seconds", "review",
    )
}  # fmt: skip
"""What a list can be sorted by, and the column."""
MOST = 1000
"""Rows that one answer holds at most."""
_NUMBERS = ("r", "select", "drop", "p")
_WORDS = re.compile(r"\w+")
SNIPPET = 160
"""Characters around a hit that are shown."""
PLACES = {"explanations": "explanation", "transcripts": "transcript", "exemplars": "exemplar"}


@dataclass(frozen=True)
class TargetQuery:
    """Which targets, in what order."""

    sort: str = "position"
    descending: bool = False
    offset: int = 0
    limit: int = 100
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Of layer, site, side, verdict, status, review: the values that are let through."""
    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)
    words: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> TargetQuery:
        """From the query of a request.

        Raises:
            ArgumentError: a value is none that can be asked for; the message says which can.
        """
        sort = query.get("sort") or "position"
        if sort not in SORTS:
            raise ArgumentError(
                f"sort={sort[:50]!r} is not known; sort by one of {', '.join(SORTS)}"
            )
        names = ("layer", "site", "side", "verdict", "status", "review", "kind")
        return cls(
            sort=sort,
            descending=_direction(query),
            offset=whole(query, "offset", 0, 10**9),
            limit=whole(query, "limit", 100, MOST),
            lists={name: query[name].split(",") for name in names if query.get(name)},
            least={
                name: number(query, f"{name}_min") for name in _NUMBERS if query.get(f"{name}_min")
            },
            most={
                name: number(query, f"{name}_max") for name in _NUMBERS if query.get(f"{name}_max")
            },
            words=query.get("q", ""),
        )


def _direction(query: Mapping[str, str]) -> bool:
    given = query.get("dir") or "asc"
    if given not in ("asc", "desc"):
        raise ArgumentError(f"dir={given[:50]!r} is not known; give asc or desc")
    return given == "desc"


def whole(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    """A whole number of a query, at least 0 and at most `most`."""
    given = query.get(name)
    if given is None or given == "":
        return default
    if not re.fullmatch(r"[0-9]{1,12}", given):
        raise ArgumentError(f"{name}={given[:50]!r} is no whole number from 0 on")
    return min(int(given), most)


def number(query: Mapping[str, str], name: str) -> float:
    """A number of a query."""
    given = query[name]
    try:
        value = float(given)
    except ValueError:
        raise ArgumentError(f"{name}={given[:50]!r} is no number") from None
    if value - value != 0:
        raise ArgumentError(f"{name}={given[:50]!r} is no finite number")
    return value


class Rows(NamedTuple):
    """One page of a list."""

    total: int
    offset: int
    rows: list[dict[str, Any]]


def list_targets(db: sqlite3.Connection, wanted: TargetQuery) -> Rows:
    """The rows of a list; those without a value come last, whatever the direction."""
    where, values = _where(wanted)
    total = db.execute(f"select count(*) from targets t {where}", values).fetchone()[0]
    column, direction = SORTS[wanted.sort], "desc" if wanted.descending else "asc"
    order = f"{column} is null, {column} {direction}, t.position"
    if wanted.sort == "position":
        order = f"t.position {direction}"
    found = db.execute(
        f"select t.*, x.explanation, x.predicate, x.reason, x.error from "
        f"(select position from targets t {where} order by {order} limit ? offset ?) page "
        f"join targets t using (position) join texts x using (position) order by {order}",
        [*values, wanted.limit, wanted.offset],
    )
    return Rows(total, wanted.offset, [as_row(row) for row in found])


_COLUMNS = (
    "position", "target", "side", "layer", "site", "kind", "status", "verdict", "reason", "explanation", "predicate",
    "p", "r", "low", "high", "select", "drop", "trivial", "token_lookup", "shuffled", "usd", "calls", "seconds",
    "error",
)  # fmt: skip


def as_row(row: sqlite3.Row) -> dict[str, Any]:
    """A target's row as the interface gives it; `review` is filled in by who knows the reviews."""
    return {name: row[name] for name in _COLUMNS} | {"review": row["review"]}


def one_row(db: sqlite3.Connection, target: str) -> dict[str, Any] | None:
    """The row of one target."""
    found = db.execute(
        "select t.*, x.explanation, x.predicate, x.reason, x.error from targets t join texts x using (position) "
        "where target = ?",
        [target],
    ).fetchone()
    return as_row(found) if found else None


def _where(wanted: TargetQuery) -> tuple[str, list[Any]]:
    parts, values = [], []
    for name, allowed in wanted.lists.items():
        listed = [value for value in allowed if value != "none"]
        options = [f't."{name}" in ({", ".join("?" * len(listed))})'] if listed else []
        options += [f't."{name}" is null'] if "none" in allowed else []
        parts.append(f"({' or '.join(options)})")
        values += [
            int(value) if name == "layer" and value.isdecimal() else value for value in listed
        ]
    for sign, bounds in ((">=", wanted.least), ("<=", wanted.most)):
        parts += [f't."{name}" {sign} ?' for name in bounds]
        values += list(bounds.values())
    if wanted.words.strip():
        match = query_of(wanted.words)
        parts.append(
            "t.position in (select rowid from explanations_text where explanations_text match ?)"
            if match
            else "0"
        )
        values += [match] if match else []
    return (f"where {' and '.join(parts)}" if parts else ""), values


def query_of(words: str) -> str:
    """What the full-text index is asked: all words, the last one as a beginning; "" when there is no word in it."""
    found = _WORDS.findall(words[:500])
    if not found:
        return ""
    *whole_words, last = (f'"{word}"' for word in found)
    return " ".join([*whole_words, f"{last}*"])


def search(
    db: sqlite3.Connection, words: str, places: Sequence[str], offset: int, limit: int
) -> dict[str, Any]:
    """Hits in explanations, then exemplars, then transcripts.

    Args:
        places: which of these to look in.
    """
    match, total, hits = query_of(words), 0, []
    looks = {"explanations": _in_explanations, "exemplars": _in_exemplars, "transcripts": _in_talk}
    for name, look in looks.items():
        if name in places and match:
            skip, room = max(0, offset - total), limit - len(hits)
            count, found = look(db, match, skip, room)
            hits += [_hit(row, PLACES[name], words) for row in found]
            total += count
    return {"total": total, "offset": offset, "hits": hits}


_Found = tuple[int, Sequence[Mapping[str, Any]]]


def _in_explanations(db: sqlite3.Connection, match: str, skip: int, room: int) -> _Found:
    which = "from explanations_text where explanations_text match ?"
    total = db.execute(f"select count(*) {which}", [match]).fetchone()[0]
    found = db.execute(
        f"select t.target, null id, x.explanation text from "
        f"(select rowid position {which} order by rowid limit ? offset ?) "
        "join targets t using (position) join texts x using (position) order by position",
        [match, room, skip],
    )
    return total, [dict(row) for row in found]


def _in_exemplars(db: sqlite3.Connection, match: str, skip: int, room: int) -> _Found:
    which = "(select rowid context from contexts_text where contexts_text match ?) join exemplars e using (context)"
    total = db.execute(f"select count(*) from {which}", [match]).fetchone()[0]
    found = db.execute(
        f"select t.target, 'exemplars' id, c.text from (select * from {which} limit ? offset ?) e "
        "join targets t using (position) join contexts c on c.id = e.context",
        [match, room, skip],
    )
    return total, [dict(row) for row in found]


def _in_talk(db: sqlite3.Connection, match: str, skip: int, room: int) -> _Found:
    which = "from talk_text where talk_text match ?"
    total = db.execute(f"select count(*) {which}", [match]).fetchone()[0]
    found = db.execute(
        f"select t.target, k.id, k.stem, k.line, k.offset, k.defines, "
        "(select coalesce(sum(turns), 0) from talk b where b.position = k.position and b.number < k.number) turn "
        f"from (select rowid number {which} order by rowid limit ? offset ?) join talk k using (number) "
        "join targets t using (position) order by number",
        [match, room, skip],
    )
    return total, [dict(row) for row in found]


def _hit(row: Mapping[str, Any], where: str, words: str) -> dict[str, Any]:
    turn = row.get("turn")
    found = {"target": row["target"], "where": where, "turn": turn}
    found["id"] = row["id"] if turn is None else f"turn-{turn}"
    return found | snippet(row["text"], words) if "text" in row else found | {"place": row}


def snippet(text: str, words: str) -> dict[str, Any]:
    """The part of a text around the first of some words, with the places of all of them in it."""
    wanted = [word.casefold() for word in _WORDS.findall(words[:500])]
    starts = [
        match.start()
        for match in _WORDS.finditer(text)
        if match[0].casefold().startswith(tuple(wanted))
    ]
    first = max(0, (starts[0] if starts else 0) - SNIPPET // 3)
    part = text[first : first + SNIPPET]
    marks = [
        [match.start(), match.end()]
        for match in _WORDS.finditer(part)
        if match[0].casefold().startswith(tuple(wanted))
    ]
    return {"text": part, "marks": marks}
