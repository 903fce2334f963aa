"""What a store keeps of a step of the log: columns to sort and filter by, words to search, and
where each event stands.

1. Each event's place is put down, and of the kinds that hold something for a column or a search the
   data is read.
2. Rows are collected and written a table at a time: a statement an event would cost more than the
   reading.
3. A target's score columns and sums are computed last, in SQL, from what the store then holds, so
   that the order in which events came makes no difference.
"""

from __future__ import annotations

import hashlib
import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ...runlog.transcript import evidence_named, searchable_text, turn_kinds
from .database import set_meta
from .log_reader import Envelope, EventPosition

RUN = -1
"""Position of what belongs to the run and to no target."""
MOST_SEEN = 200_000
"""Contexts that a filling remembers, so as not to ask the store about each again: about 20 MB."""

_CONCLUDED = """update targets set status = 'done', verdict = coalesce(verdict, 'pending'), p = ?, seconds = ?,
    hypothesis = ? where position = ?"""
_SAID = """update texts set explanation = ?, predicate = ?, error = null, reason = coalesce(reason, ?)
    where position = ?"""
_FAILED = "update targets set status = 'failed' where position = ? and status <> 'done'"
_ERROR = """update texts set error = ? where position = ?
    and (select status from targets t where t.position = texts.position) = 'failed'"""
_HEADLINE = """update targets set (r, low, high, trivial, token_lookup, shuffled) =
      (select value, low, high, trivial, token_lookup, shuffled from scores s
       where s.position = targets.position and s.hypothesis = targets.hypothesis and split = 'holdout'),
      "select" = (select value from scores s where s.position = targets.position
                  and s.hypothesis = targets.hypothesis and split = 'select')
    where position = ? and hypothesis is not null"""
_DROP = 'update targets set "drop" = "select" - r where position = ?'
_SUMS = """update targets set (calls, usd, input_tokens, output_tokens, cached_tokens) =
      (select count(*), case when count(usd) = count(*) then coalesce(sum(usd), 0) end,
              coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), coalesce(sum(cached_tokens), 0)
       from talk where talk.position = targets.position and explaining)
    where position = ?"""
_REPLY = """insert into talk (number, position, id, stem, line, offset, turns, usd, input_tokens, output_tokens,
    cached_tokens, explaining, defines) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


@dataclass
class FillState:
    """What a filling knows of the store without asking it, from step to step."""

    positions: dict[str, int]
    """Of the registered targets."""
    empty: bool
    """Whether the store holds nothing but what this filling put there: what it has not seen is then not there."""
    known: dict[str, EventPosition] = field(default_factory=dict)
    """How far each segment is read, as this filling left it."""
    contexts: set[int] = field(default_factory=set)
    """Numbers of contexts that are in the store for certain."""
    replies: dict[int, tuple[dict[str | None, int], set[str]]] = field(default_factory=dict)
    """Position to the numbers of its replies by their ids, and to the evidence that they defined."""

    def check(self, known: dict[str, EventPosition]) -> None:
        """Forget what may be wrong when another process has filled the store meanwhile."""
        if known != self.known:
            self.known, self.empty = known, False
            self.replies.clear()


class StoreWriter:
    """Puts a step of one segment into the store."""

    def __init__(self, db: sqlite3.Connection, stem: str, filled: FillState) -> None:
        self._db, self._stem, self._positions, self._filled = db, stem, filled.positions, filled
        self._places: dict[tuple[int, int], array[int]] = defaultdict(lambda: array("q"))
        self._rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        """Statement to what it is executed with."""
        self._sentences: dict[int, str] = {}
        self._scored: set[int] = set()
        self._texts: dict[int, str] = {}
        """Contexts that are new to the store."""
        self._talk = _Talk(db, stem, filled)

    def take(self, lines: Iterable[Envelope]) -> None:
        """Read what is needed out of some lines, and write it."""
        readers = {
            "conclusion": self._conclusion,
            "failure": self._failure,
            "score": self._score,
            "llm_call": self._talk.reply,
            "observation": self._observation,
        }
        for line in lines:
            position = self._positions.get(line.target, RUN) if line.target is not None else RUN
            self._places[position, int(line.event == "llm_call")].extend(line.place)
            if line.event == "verdicts":
                self._verdicts(line.data())
            elif (
                position != RUN and line.event in readers and isinstance(data := line.data(), dict)
            ):
                readers[line.event](position, line, data)
        self._write()

    def _write(self) -> None:
        packed = [
            (position, self._stem, talk, place.tobytes())
            for (position, talk), place in self._places.items()
        ]
        self._db.executemany("insert into places values (?, ?, ?, ?)", packed)
        self._db.executemany("insert into contexts values (?, ?)", self._texts.items())
        self._db.executemany(
            "insert into contexts_text (rowid, text) values (?, ?)", self._texts.items()
        )
        for statement in (_CONCLUDED, _SAID, _FAILED, _ERROR):
            self._db.executemany(statement, self._rows.pop(statement, []))
        for statement, rows in self._rows.items():
            self._db.executemany(statement, sorted(rows) if "exemplars" in statement else rows)
        self._db.executemany(
            "delete from explanations_text where rowid = ?", [(at,) for at in self._sentences]
        )
        told = [(at, text) for at, text in self._sentences.items() if text]
        self._db.executemany(
            "insert into explanations_text (rowid, explanation) values (?, ?)", told
        )
        self._talk.write()
        touched = [(position,) for position in sorted(self._scored)]
        self._db.executemany(_HEADLINE, touched)
        self._db.executemany(_DROP, touched)

    def _conclusion(self, position: int, line: Envelope, data: dict[str, Any]) -> None:
        self._rows[_CONCLUDED].append(
            (data.get("p"), data.get("seconds"), data.get("hypothesis"), position)
        )
        why_not = data.get("cannot_explain") or None
        self._rows[_SAID].append(
            (data.get("explanation"), data.get("predicate"), why_not, position)
        )
        self._sentences[position] = data.get("explanation") or ""
        self._scored.add(position)

    def _failure(self, position: int, line: Envelope, data: dict[str, Any]) -> None:
        self._rows[_FAILED].append((position,))
        self._rows[_ERROR].append((data.get("error"), position))

    def _score(self, position: int, line: Envelope, data: dict[str, Any]) -> None:
        if (data.get("scorer"), data.get("text")) != ("simulation", "random"):
            return
        floors = data.get("floors") or {}
        row = [data.get(k) for k in ("hypothesis", "split", "value", "low", "high")]
        row += [floors.get(k) for k in ("trivial", "token_lookup", "shuffled")]
        self._rows["insert or replace into scores values (?, ?, ?, ?, ?, ?, ?, ?, ?)"].append(
            (position, *row)
        )
        self._scored.add(position)

    def _verdicts(self, data: Any) -> None:
        rows = data.get("rows", []) if isinstance(data, dict) else []
        told = [
            (row, self._positions[row["target"]])
            for row in rows
            if row.get("target") in self._positions
        ]
        self._rows["update targets set verdict = ?, p = coalesce(?, p) where position = ?"] += [
            (row.get("verdict"), row.get("p"), position) for row, position in told
        ]
        self._rows["update texts set reason = ? where position = ?"] += [
            (row.get("reason"), at) for row, at in told
        ]
        set_meta(self._db, "decided", 1)

    def _observation(self, position: int, line: Envelope, data: dict[str, Any]) -> None:
        rows = self._rows["insert or ignore into exemplars values (?, ?, ?, ?)"]
        for side in ("+", "-"):
            found = (data.get(f"exemplars{side}") or {}).get("exemplars") or ()
            rows += [
                (self._context(exemplar), position, side, rank)
                for rank, exemplar in enumerate(found)
            ]

    def _context(self, exemplar: dict[str, Any]) -> int:
        """The number of an exemplar's context, whose text is kept once however many targets show it."""
        number = exemplar.get("context")
        seen = self._filled.contexts
        if isinstance(number, int) and number in seen:
            return number
        text = "".join(map(str, exemplar.get("tokens") or ())).encode("utf-8", "replace")
        if not isinstance(number, int) or not 0 <= number < 1 << 62:
            number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1
        if number not in seen and not self._is_stored(number):
            self._texts[number] = text.decode()
        if len(seen) < MOST_SEEN:
            seen.add(number)
        return number

    def _is_stored(self, number: int) -> bool:
        if self._filled.empty and len(self._filled.contexts) < MOST_SEEN:
            return False
        if number in self._texts:
            return True
        return (
            self._db.execute("select 1 from contexts where id = ?", [number]).fetchone() is not None
        )


class _Talk:
    """Replies of a language model in a step: each once, though it was written again after a kill."""

    def __init__(self, db: sqlite3.Connection, stem: str, filled: FillState) -> None:
        self._db, self._stem, self._filled = db, stem, filled
        self._next = db.execute("select coalesce(max(number), 0) + 1 from talk").fetchone()[0]
        self._touched: set[int] = set()
        self._rows: list[tuple[Any, ...]] = []
        self._texts: list[tuple[int, str]] = []
        self._moved: list[tuple[Any, ...]] = []

    def reply(self, position: int, line: Envelope, data: dict[str, Any]) -> None:
        """Take one."""
        numbers, defined = self._of(position)
        if line.id in numbers:
            self._moved.append((self._stem, *line.place, numbers[line.id]))
            return
        explaining = "system_and_tools" in (data.get("request") or {})
        spent = [data.get(k) for k in ("usd", "input_tokens", "output_tokens", "cache_read")]
        defines = [id for id in evidence_named(data) if id not in defined]
        row = [
            self._next,
            position,
            line.id,
            self._stem,
            *line.place,
            len(turn_kinds(data)),
            *spent,
            int(explaining),
        ]
        self._rows.append((*row, " ".join(defines)))
        self._texts.append((self._next, searchable_text(data)))
        numbers[line.id] = self._next
        defined.update(defines)
        self._next += 1

    def _of(self, position: int) -> tuple[dict[str | None, int], set[str]]:
        known = self._filled.replies
        self._touched.add(position)
        if position not in known:
            found = "select number, id, defines from talk where position = ?"
            told = [] if self._filled.empty else self._db.execute(found, [position]).fetchall()
            defined = {id for row in told for id in row["defines"].split()}
            known[position] = {row["id"]: row["number"] for row in told}, defined
        return known[position]

    def write(self) -> None:
        """Write them, and what each target's add up to."""
        self._db.executemany(_REPLY, self._rows)
        self._db.executemany("insert into talk_text (rowid, text) values (?, ?)", self._texts)
        self._db.executemany(
            "update talk set stem = ?, line = ?, offset = ? where number = ?", self._moved
        )
        self._db.executemany(_SUMS, [(position,) for position in sorted(self._touched)])
