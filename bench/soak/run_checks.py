"""What must hold of a run that was killed and resumed, whatever killed it.

1. The run's log is compared with the server's ledger, process by process. Each process of a run has
   its own API key, and must not send a request whose reply was in the journal when it began. (The
   time at which the server reads a request does not say who sent it: a request of a killed process
   may still be in the socket.) The server writes the hash of the request into the ids of the tool
   calls of its answer, so that a journaled reply names its request.
2. Every target must end once, and the rows must be those of an undisturbed run.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ...agent.run.verify_run import verify_run
from ...agent.runlog.compare_logs import BOOKKEEPING, differences
from ...agent.runlog.events import LLM_CALL, LLM_REQUEST
from ...agent.runlog.layout import CHECKPOINTS, CONFIG, EVENTS, LOCK, SEAL
from ...agent.runlog.log import Data, EventName, RunLog, canonical, read_events
from ...agent.runlog.views import COST_KEYS, target_rows
from ...tools.files import file_sha256
from ..loopback import Ledger

_TIMING = tuple(key for key in COST_KEYS if key != "failed_scores")
"""Fields of rows that depend on the server's clock and cache, and on requests in flight at a kill, which
are paid for again; no two runs share them."""
_NOT_SHARED = {
    None: ("seconds", "traceback"),
    "conclusion": ("calls",),
    LLM_CALL: ("input_tokens", "cache_read", "cache_write", "usd", "waited", "waits", "usage"),
    "move": ("reply",),
}
"""Kind of event to its fields that depend on them too, None to those of every event. A move names its
reply by a hash that includes the usage."""


@dataclass(frozen=True)
class RunProcess:
    """One process of a run.

    Attributes:
        key: its API key.
        before, after: hashes of the requests whose replies were in the journal when it began and
            after it ended.
    """

    key: str
    before: frozenset[str]
    after: frozenset[str]

    def asked_again(self, sent: Counter[str]) -> int:
        """Requests whose reply was in the journal when this process began, or that it sent twice.

        Args:
            sent: hash of a request to how often this process sent it.
        """
        return sum(n if hash in self.before else n - 1 for hash, n in sent.items())

    def in_flight(self, sent: Counter[str]) -> int:
        """Requests whose reply this process was killed before it could journal."""
        return len(set(sent) - self.before - self.after)


@dataclass
class KillTally:
    """Counts over all runs. Those of `broken` must be 0."""

    runs: int = 0
    killed_runs: int = 0
    kills: int = 0
    in_flight: int = 0
    """Requests without a journaled reply when their process was killed; they are sent again."""
    asked_again: int = 0
    """Requests sent again although their reply was in the journal."""
    journaled_twice: int = 0
    lost: int = 0
    """Targets without a verdict."""
    twice: int = 0
    """Targets that ended more than once."""
    other_rows: int = 0
    """Runs whose rows differ from those of the undisturbed run."""
    calls: int = 0
    """Answered requests."""
    notes: list[str] = field(default_factory=list)

    @property
    def broken(self) -> int:
        """Broken promises."""
        return self.asked_again + self.journaled_twice + self.lost + self.twice + self.other_rows

    def add(self, other: KillTally) -> None:
        """Add the counts of another tally."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


def check_requests(
    ledger: Ledger, room: str, processes: Sequence[RunProcess], tally: KillTally
) -> None:
    """Compare a run's requests with what its journal held, for each process."""
    entries = ledger.entries(room)
    tally.calls += len(entries)
    for process in processes:
        sent = Counter(entry.hash for entry in entries if entry.key == process.key)
        tally.in_flight += process.in_flight(sent)
        if again := process.asked_again(sent):
            tally.asked_again += again
            tally.notes.append(f"{room}: {process.key} sent {again} requests again")


def check_log(folder: Path, expected: list[Data], tally: KillTally) -> None:
    """Count what the log of a run lost or has twice, and compare its rows.

    Args:
        expected: `untimed_rows` of an undisturbed run.
    """
    tally.journaled_twice += sum(n - 1 for n in Counter(journaled(folder)).values())
    ends = Counter(e.target for e in read_events(folder) if e.event == "conclusion")
    rows = untimed_rows(folder)
    tally.lost += sum(row["status"] != "done" or row["verdict"] is None for row in rows)
    tally.twice += sum(n - 1 for n in ends.values())
    if rows != expected:
        tally.other_rows += 1
        tally.notes.append(f"{folder.name}: {_difference(expected, rows)}")


def journaled(folder: Path) -> list[str]:
    """Hashes of the requests whose replies are in the log, with repetitions."""
    replies = [e.data["answer"] for e in read_events(folder) if e.event == "llm_call"]
    return [reply["calls"][0]["id"].rpartition("_")[2] for reply in replies]


def untimed_rows(folder: Path) -> list[Data]:
    """The rows of a run without what two runs never share."""
    rows = target_rows(folder)
    return [{key: row[key] for key in row if key not in _TIMING} for row in rows]


class RunOutcome(NamedTuple):
    """What a run in one process ended with, and what one on a cluster must end with.

    Attributes:
        rows: `untimed_rows`.
        events: the last event of every name, without what two runs never share.
        files: the hash of each file that is neither a setting nor a part of the log.
    """

    rows: list[Data]
    events: dict[EventName, Data]
    files: dict[str, str]


class Differences(NamedTuple):
    """Lines about what differs."""

    events: list[str]
    files: list[str]


def run_outcome(folder: Path) -> RunOutcome:
    """What a run ended with."""
    return RunOutcome(untimed_rows(folder), _untimed_events(folder), _files(folder))


def check_outcome(folder: Path, expected: RunOutcome) -> Differences:
    """Compare the events and files of a run, and verify its hashes."""
    events, files = _untimed_events(folder), _files(folder)
    names = sorted(expected.events.keys() ^ events.keys(), key=str)
    lines = [f"{name} is in one of two logs only" for name in names]
    for name in expected.events.keys() & events.keys():
        if canonical(events[name]) != canonical(expected.events[name]):
            found = differences(expected.events[name], events[name], origin="one process")
            lines.append(f"{name}: {(found or ['differs in its last digits'])[0][:300]}")
    others = {path for path, _ in files.items() ^ expected.files.items()}
    file_lines = [f"{path} is another file, or in one of two runs only" for path in sorted(others)]
    return Differences(lines, file_lines + verify_run(folder).problems)


def _untimed_events(folder: Path) -> dict[EventName, Data]:
    events = RunLog(folder, writable=False).named_events()
    left_out, calls = {*BOOKKEEPING, LLM_REQUEST}, Counter[str | None]()
    untimed: dict[EventName, Data] = {}
    for name, data in events:
        if name.event == LLM_CALL:  # named by a request that repeats the usage of earlier ones
            calls[name.target] += 1
            name = name._replace(id=str(calls[name.target]))
        if name.event not in left_out:
            untimed[name] = _untimed(name.event, data)
    return untimed


def _untimed(event: str, data: Data) -> Data:
    own = _NOT_SHARED[None] + _NOT_SHARED.get(event, ())
    kept = {key: value for key, value in data.items() if key not in own}
    if "answer" in kept and event == LLM_CALL:
        kept["answer"] = _untimed(event, kept["answer"])
    return kept


def _files(folder: Path) -> dict[str, str]:
    """All files but those of the log and of its settings, which have the run's own address."""
    own = (CONFIG, EVENTS, SEAL, LOCK)
    paths = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {
        str(path): file_sha256(folder / path)
        for path in paths
        if path.parts[0] not in own and not path.name.startswith(CHECKPOINTS)
    }


def _difference(expected: list[Data], rows: list[Data]) -> str:
    """The first difference, as text."""
    for left, right in zip(expected, rows, strict=True):
        for key in left:
            before, after = (canonical(_json(row[key])) for row in (left, right))
            if before != after:
                return f"{left['target']} {key}: {before[:200]} became {after[:200]}"
    return "equal as JSON"


def _json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))
