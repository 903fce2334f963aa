"""Write one step of the log into the store: columns, words to search, and the position of each event.

1. The position of each event is kept. The data is parsed only for the kinds of events that fill a
   column or can be searched.
2. Rows are collected and written one table at a time: a statement for each event would take longer
   than reading the log.
3. Score columns and sums of a target are computed last, in SQL, from what the store then holds, so
   that the order of events makes no difference.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ....tools.subject.token_text import join_tokens
from ...runlog.chain import FILE
from ...runlog.event_shapes import LISTED, misfit
from ...runlog.events import LEFT_OUT, LLM_CALL
from ...runlog.layout import CONFIG
from ...runlog.segments import Envelope, EventPosition
from ...runlog.subject_warning import EVENT as SUBJECT_CHECK
from ...runlog.transcript import evidence_named, searchable_text, turn_kinds
from .database import get_meta, set_meta

RUN = -1
"""Position of events that belong to the run and not to a target."""
FLOORS = ("trivial", "token_lookup", "shuffled", "list", "rotated")
"""What a score is read against; each is a column."""
SCORERS = ("simulation", "meaning", "headline")
"""The whole formula, its meaning alone, and its headline alone: scorers whose r is a column."""
MAX_REMEMBERED = 200_000
"""Contexts that a filling process remembers, so that it does not ask for each: about 20 MB."""

_DONE = """update targets set status = 'done', verdict = coalesce(verdict, 'pending'), p = ?,
       seconds = ?,
    hypothesis = ?, bits = ?, artefact = ? where position = ?"""
_EXPLANATION = """update texts set explanation = ?, predicate = ?, headline = ?, meaning = ?,
       residue = ?,
    error = null, reason = coalesce(reason, ?) where position = ?"""
_FAILED = "update targets set status = 'failed' where position = ? and status <> 'done'"
_ERROR = """update texts set error = ? where position = ?
    and (select status from targets t where t.position = texts.position) = 'failed'"""
_SCORE = "insert or replace into scores values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_VERDICT = "update targets set verdict = ?, p = coalesce(?, p), tier = ? where position = ?"
_REASON = "update texts set reason = ? where position = ?"
_EXEMPLAR = "insert or ignore into exemplars values (?, ?, ?, ?)"
_WINNER = "s.position = targets.position and s.hypothesis = targets.hypothesis"
_SCORES = f"""update targets set (r, low, high, {", ".join(FLOORS)}) =
      (select value, low, high, {", ".join(FLOORS)} from scores s
       where {_WINNER} and scorer = 'simulation' and split = 'holdout'),
      "select" = (select value from scores s where {_WINNER} and scorer = 'simulation'
                   and split = 'select'),
      headline_r = (select value from scores s where {_WINNER} and scorer = 'headline'
                     and split = 'holdout'),
      meaning_r = (select value from scores s where {_WINNER} and scorer = 'meaning'
                    and split = 'holdout')
    where position = ? and hypothesis is not null"""
_DROP = 'update targets set "drop" = "select" - r where position = ?'
_SUMS = """update targets set (calls, usd, input_tokens, output_tokens, cached_tokens) =
      (select count(*), case when count(usd) = count(*) then coalesce(sum(usd), 0) end,
              coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),
               coalesce(sum(cached_tokens), 0)
       from talk where talk.position = targets.position and explaining)
    where position = ?"""
_REPLY = """insert into talk (number, position, id, stem, line, offset, turns, usd, input_tokens,
       output_tokens,
    cached_tokens, explaining, defines) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_BROKEN = "update targets set status = 'failed' where position = ? and status = 'pending'"
_FAULT = "update texts set error = coalesce(error, ?) where position = ?"
_ORDER = (
    _DONE,
    _EXPLANATION,
    _FAILED,
    _ERROR,
    _SCORE,
    _VERDICT,
    _REASON,
    _EXEMPLAR,
    _BROKEN,
    _FAULT,
)
"""Statements in the order of execution: an error stays only where no conclusion came, and an event that
cannot be read is mentioned in any case."""


@dataclass
class TargetReplies:
    """Replies of one target that are in the store: number by id, and evidence that they named first."""

    numbers: dict[str | None, int] = field(default_factory=dict)
    evidence: set[str] = field(default_factory=set)


@dataclass
class FillState:
    """What the process that fills a store knows about it without a query, from step to step."""

    positions: dict[str, int]
    """Of the registered targets."""
    empty: bool
    """Whether this process wrote all that the store holds, so that what it has not seen is not there."""
    progress: dict[str, EventPosition] = field(default_factory=dict)
    """How far each segment is read, as this process left it."""
    contexts: set[int] = field(default_factory=set)
    """Numbers of contexts that are in the store for certain."""
    replies: dict[int, TargetReplies] = field(default_factory=dict)
    """By position of the target."""

    def update_progress(self, progress: dict[str, EventPosition]) -> None:
        """Drop what may be outdated if another process has filled the store meanwhile."""
        if progress != self.progress:
            self.progress, self.empty = progress, False
            self.replies.clear()


class StoreWriter:
    """Puts a step of one segment into the store."""

    def __init__(self, db: sqlite3.Connection, stem: str, state: FillState) -> None:
        self._db, self._stem, self._state = db, stem, state
        self._event_positions: dict[tuple[int, bool], array[int]] = defaultdict(lambda: array("q"))
        """Lines and offsets, by target and whether the events are replies."""
        self._rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        """Statement to its rows."""
        self._explanations: dict[int, str] = {}
        self._scored: set[int] = set()
        self._new_contexts: dict[int, str] = {}
        self._replies = _ReplyWriter(db, stem, state)

    def write(self, lines: Iterable[Envelope]) -> None:
        """Take what the store needs from these lines, and write it."""
        readers = {
            "conclusion": self._conclusion,
            "failure": self._failure,
            "score": self._score,
            LLM_CALL: self._replies.add,
            "observation": self._observation,
        }
        for line in lines:
            position = RUN
            if line.target is not None:
                position = self._state.positions.get(line.target, RUN)
            # 1. positions of all events, data of some
            self._event_positions[position, line.event == LLM_CALL].extend(line.position)
            if line.event == "verdicts":
                self._verdicts(line, line.data())
            elif line.event in (SUBJECT_CHECK, LEFT_OUT):
                self._of_run(line, line.data())
            elif line.event == FILE and line.id == CONFIG:
                set_meta(self._db, "started_with", line.data().get("sha256"))
            elif position != RUN and line.event in readers:
                data = line.data()
                if fault := misfit(line.event, data, LISTED):
                    self._leave_out(position, line, fault)
                else:
                    readers[line.event](position, line, data)
        self._write_rows()

    def _of_run(self, line: Envelope, data: dict[str, Any]) -> None:
        if fault := misfit(line.event, data, LISTED):
            self._leave_out(RUN, line, fault)
        else:
            set_meta(self._db, line.event, json.dumps(data))

    def _leave_out(self, position: int, line: Envelope, fault: str) -> None:
        """Say of an event of another form, where its target is shown, that it is left out."""
        place = f"{line.segment.name}, line {line.position.line + 1}"
        message = f"an event cannot be read and is left out ({line.event}, {place}): {fault}"
        if position == RUN:
            set_meta(self._db, "fault", get_meta(self._db, "fault") or message)
        else:
            self._rows[_BROKEN].append((position,))
            self._rows[_FAULT].append((message, position))

    def _write_rows(self) -> None:
        # 2. one table at a time
        execute = self._db.executemany
        packed = [
            (position, self._stem, int(is_reply), numbers.tobytes())
            for (position, is_reply), numbers in self._event_positions.items()
        ]
        execute("insert into places values (?, ?, ?, ?)", packed)
        execute("insert into contexts values (?, ?)", self._new_contexts.items())
        execute("insert into contexts_text (rowid, text) values (?, ?)", self._new_contexts.items())
        self._rows[_EXEMPLAR].sort()  # in the order of the primary key, which is faster
        for statement in _ORDER:
            execute(statement, self._rows[statement])
        changed = [(position,) for position in self._explanations]
        texts = [(position, text) for position, text in self._explanations.items() if text]
        execute("delete from explanations_text where rowid = ?", changed)
        execute("insert into explanations_text (rowid, explanation) values (?, ?)", texts)
        self._replies.write()
        # 3. what follows from the rows
        scored = [(position,) for position in sorted(self._scored)]
        execute(_SCORES, scored)
        execute(_DROP, scored)

    def _conclusion(self, position: int, line: Envelope, data: dict[str, Any]) -> None:
        text, reason = data.get("explanation"), data.get("cannot_explain") or None
        outcome = ("p", "seconds", "hypothesis", "bits", "artefact")
        self._rows[_DONE].append((*map(data.get, outcome), position))
        texts = ("explanation", "predicate", "headline", "meaning", "residue")
        self._rows[_EXPLANATION].append((*map(data.get, texts), reason, position))
        self._explanations[position] = text or ""
        self._scored.add(position)

    def _failure(self, position: int, line: Envelope, data: dict[str, Any]) -> None:
        self._rows[_FAILED].append((position,))
        self._rows[_ERROR].append((data.get("error"), position))

    def _score(self, position: int, line: Envelope, data: dict[str, Any]) -> None:
        if data.get("scorer") not in SCORERS or data.get("text") != "random":
            return
        floors = data.get("floors") or {}
        values = [
            data.get(key) for key in ("hypothesis", "scorer", "split", "value", "low", "high")
        ]
        values += map(floors.get, FLOORS)
        self._rows[_SCORE].append((position, *values))
        self._scored.add(position)

    def _verdicts(self, line: Envelope, data: Any) -> None:
        rows = data.get("rows") if isinstance(data, dict) else None
        if not isinstance(rows, list):
            self._leave_out(RUN, line, "it has no list of rows")
            return
        for row in rows:
            fault = misfit("verdict", row)
            target = row.get("target") if isinstance(row, dict) else None
            position = self._state.positions.get(target) if isinstance(target, str) else None
            if fault:
                self._leave_out(RUN if position is None else position, line, fault)
            elif position is not None:
                decided = map(row.get, ("verdict", "p", "tier"))
                self._rows[_VERDICT].append((*decided, position))
                self._rows[_REASON].append((row.get("reason"), position))
        set_meta(self._db, "decided", 1)

    def _observation(self, position: int, line: Envelope, data: dict[str, Any]) -> None:
        for side in ("+", "-"):
            exemplars = (data.get(f"exemplars{side}") or {}).get("exemplars") or ()
            for rank, exemplar in enumerate(exemplars):
                row = (self._context_number(exemplar), position, side, rank)
                self._rows[_EXEMPLAR].append(row)

    def _context_number(self, exemplar: dict[str, Any]) -> int:
        """The number of an exemplar's context. Its text is stored once, however many targets show it."""
        number, remembered = exemplar.get("context"), self._state.contexts
        if isinstance(number, int) and number in remembered:
            return number
        text = join_tokens(map(str, exemplar.get("tokens") or ())).encode("utf-8", "replace")
        if not isinstance(number, int) or not 0 <= number < 1 << 62:
            number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1
        if number not in remembered and not self._is_stored(number):
            self._new_contexts[number] = text.decode()
        if len(remembered) < MAX_REMEMBERED:
            remembered.add(number)
        return number

    def _is_stored(self, number: int) -> bool:
        """Whether a context that is not remembered is in the store, or will be with this step."""
        # This process wrote all that the store holds, and remembers all of it.
        if self._state.empty and len(self._state.contexts) < MAX_REMEMBERED:
            return False
        if number in self._new_contexts:
            return True
        rows = self._db.execute("select 1 from contexts where id = ?", [number])
        return rows.fetchone() is not None


class _ReplyWriter:
    """Replies of a language model in a step. A reply that was logged again after a kill counts once."""

    def __init__(self, db: sqlite3.Connection, stem: str, state: FillState) -> None:
        self._db, self._stem, self._state = db, stem, state
        self._next = db.execute("select coalesce(max(number), 0) + 1 from talk").fetchone()[0]
        self._touched: set[int] = set()
        self._rows: list[tuple[Any, ...]] = []
        self._texts: list[tuple[int, str]] = []
        self._moved: list[tuple[Any, ...]] = []

    def add(self, position: int, line: Envelope, data: dict[str, Any]) -> None:
        """Collect the row and the text of one reply; `write` stores them."""
        replies = self._replies_of(position)
        if line.id in replies.numbers:
            self._moved.append((self._stem, *line.position, replies.numbers[line.id]))
            return
        number = self._next
        self._next += 1
        new_evidence = [id for id in evidence_named(data) if id not in replies.evidence]
        cost = [data.get(key) for key in ("usd", "input_tokens", "output_tokens", "cache_read")]
        explaining = "system_and_tools" in (data.get("request") or {})
        where = (number, position, line.id, self._stem, *line.position, len(turn_kinds(data)))
        self._rows.append((*where, *cost, int(explaining), " ".join(new_evidence)))
        self._texts.append((number, searchable_text(data)))
        replies.numbers[line.id] = number
        replies.evidence.update(new_evidence)

    def _replies_of(self, position: int) -> TargetReplies:
        self._touched.add(position)
        if position not in self._state.replies:
            replies = self._state.replies[position] = TargetReplies()
            if not self._state.empty:
                stored = "select number, id, defines from talk where position = ?"
                for row in self._db.execute(stored, [position]):
                    replies.numbers[row["id"]] = row["number"]
                    replies.evidence.update(row["defines"].split())
        return self._state.replies[position]

    def write(self) -> None:
        """Write the replies, and the sums of each target."""
        execute = self._db.executemany
        execute(_REPLY, self._rows)
        execute("insert into talk_text (rowid, text) values (?, ?)", self._texts)
        execute("update talk set stem = ?, line = ?, offset = ? where number = ?", self._moved)
        execute(_SUMS, [(position,) for position in sorted(self._touched)])
