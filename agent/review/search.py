"""Search for words in explanations, exemplars and transcripts of a run. Reads the store."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..runlog.transcript import searchable_text
from .run_catalog import StoredRun
from .target_events import read_replies

SNIPPET = 160
"""Characters around a hit that are shown."""
MAX_QUERY = 500
_WORD = re.compile(r"\w+")


class _Matches(NamedTuple):
    """How many matches there are, and some of them: target, id, and text or where to read it."""

    total: int
    rows: Sequence[Mapping[str, Any]]


def full_text_query(words: str) -> str:
    """A query of the full-text index: all words, the last one as a prefix; "" when there is no word."""
    tokens = _WORD.findall(words[:MAX_QUERY])
    return " ".join(f'"{word}"' for word in tokens) + "*" if tokens else ""


def search(
    run: StoredRun, words: str, places: Sequence[str], offset: int, limit: int
) -> dict[str, Any]:
    """Hits in explanations, then in exemplars, then in transcripts.

    Args:
        places: which of `PLACES` to look in.
    """
    match, total, hits = full_text_query(words), 0, []
    with run.store.reading() as db:
        for place, find in _FINDERS.items():
            if place in places and match:
                matches = find(db, match, max(0, offset - total), limit - len(hits))
                hits += [_hit(run, row, place, words) for row in matches.rows]
                total += matches.total
    return {"total": total, "offset": offset, "hits": hits}


def _in_explanations(db: sqlite3.Connection, match: str, skip: int, limit: int) -> _Matches:
    matching = "from explanations_text where explanations_text match ?"
    total = db.execute(f"select count(*) {matching}", [match]).fetchone()[0]
    rows = db.execute(
        f"select t.target, null id, x.explanation text from "
        f"(select rowid position {matching} order by rowid limit ? offset ?) "
        "join targets t using (position) join texts x using (position) order by position",
        [match, limit, skip],
    )
    return _Matches(total, rows.fetchall())


def _in_exemplars(db: sqlite3.Connection, match: str, skip: int, limit: int) -> _Matches:
    matching = "(select rowid context from contexts_text where contexts_text match ?) join exemplars e using (context)"
    total = db.execute(f"select count(*) from {matching}", [match]).fetchone()[0]
    rows = db.execute(
        f"select t.target, 'exemplars' id, c.text from (select * from {matching} limit ? offset ?) e "
        "join targets t using (position) join contexts c on c.id = e.context",
        [match, limit, skip],
    )
    return _Matches(total, rows.fetchall())


def _in_transcripts(db: sqlite3.Connection, match: str, skip: int, limit: int) -> _Matches:
    matching = "from talk_text where talk_text match ?"
    total = db.execute(f"select count(*) {matching}", [match]).fetchone()[0]
    rows = db.execute(
        f"select t.target, k.stem, k.line, k.offset, k.defines, "
        "(select coalesce(sum(turns), 0) from talk b where b.position = k.position and b.number < k.number) turn "
        f"from (select rowid number {matching} order by rowid limit ? offset ?) join talk k using (number) "
        "join targets t using (position) order by number",
        [match, limit, skip],
    )
    return _Matches(total, rows.fetchall())


_FINDERS: dict[str, Callable[[sqlite3.Connection, str, int, int], _Matches]] = {
    "explanations": _in_explanations,
    "exemplars": _in_exemplars,
    "transcripts": _in_transcripts,
}
PLACES = ("explanations", "transcripts", "exemplars")


def _hit(run: StoredRun, row: Mapping[str, Any], place: str, words: str) -> dict[str, Any]:
    if place == "transcripts":
        # The store has no text of transcripts: the reply is read from the log.
        text = "".join(searchable_text(reply) for reply in read_replies(run, [row]))
        turn, id = row["turn"], f"turn-{row['turn']}"
    else:
        text, turn, id = row["text"], None, row["id"]
    where = place.removesuffix("s")
    return {"target": row["target"], "where": where, "turn": turn, "id": id} | snippet(text, words)


def snippet(text: str, words: str) -> dict[str, Any]:
    """The part of a text around the first of some words, and `marks`: start and end of all of them in it."""
    prefixes = tuple(word.casefold() for word in _WORD.findall(words[:MAX_QUERY]))

    def spans(part: str) -> list[list[int]]:
        matches = (m for m in _WORD.finditer(part) if m[0].casefold().startswith(prefixes))
        return [[m.start(), m.end()] for m in matches]

    starts = [start for start, _ in spans(text)]
    first = max(0, (starts[0] if starts else 0) - SNIPPET // 3)
    part = text[first : first + SNIPPET]
    return {"text": part, "marks": spans(part)}
