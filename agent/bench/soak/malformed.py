"""Answers that are wrong in every way that there is a name for, until so many were given: no crash, no score from any.

1. Runs of many targets, over each wire in turn, ask a server whose every answer is a fault of `llm.loopback.faults`,
   each in its turn: no target may end with an explanation or a score, and none without an end.
2. Every second run gets good answers half of the time, so that conversations go on to where a wrong answer does more
   harm. There a target may be explained, but every hypothesis must stem from an answer that was good or whose fault
   leaves a usable part.
3. A run that has ended is resumed: failed targets are tried again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ...llm.loopback import Loopback, Rule, Script
from ...llm.loopback.faults import NAMES
from ...log import read_events
from ...views import rows
from . import ground
from .kills import Curious
from .nursery import Nursery

TARGETS = 72
RESUMED = 2
"""Times that a run is resumed after it has ended."""


@dataclass
class Tally:
    """What was counted. `crashes`, `scored`, `unended` and `unreadable` must be 0."""

    answers: int = 0
    """Malformed ones that went out."""
    runs: int = 0
    failed: int = 0
    """Targets that ended as failures, as they should."""
    crashes: int = 0
    """Processes that ended otherwise than as done or as failed."""
    scored: int = 0
    """Targets with a score or an explanation in runs without one good answer."""
    unended: int = 0
    unreadable: int = 0
    """Runs whose log or rows cannot be read afterwards."""
    kinds: int = len(NAMES)
    notes: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count another's as well."""
        for name in self.__dataclass_fields__:
            if name != "kinds":
                setattr(self, name, getattr(self, name) + getattr(other, name))


def torment(folder: Path, index: Path, nursery: Nursery, wanted: int, report: Callable[[int], None]) -> Tally:
    """Runs until `wanted` malformed answers were given."""
    tally = Tally()
    while tally.answers < wanted:
        tally.add(_one(folder / f"malformed-{tally.runs}", index, nursery, tally.runs, wanted - tally.answers))
        report(min(tally.answers, wanted))
    return tally


def _one(folder: Path, index: Path, nursery: Nursery, number: int, wanted: int) -> Tally:
    half, provider = bool(number % 2), ("openai", "anthropic")[number // 2 % 2]
    rules = (Rule(share=0.5 if half else 1.0, fault="any"),)
    tally = Tally(runs=1)
    few = max(2, min(TARGETS, wanted // 2))
    with Loopback(Curious(), script=Script(rules=rules), keep=False) as server:
        targets = ground.targets(few, first=number * TARGETS)
        settings = {"explainer": f"{provider}:soak", "base_url": server.url(provider), "concurrency": 8}
        ground.make(folder, index, targets, **settings)
        for _ in range(1 + RESUMED):
            ended = nursery.work(folder)
            if ended.status not in (0, 4):
                tally.crashes += 1
                tally.notes.append(f"{folder.name} ended with {ended.status}")
            tally.answers = sum(e.what in NAMES for e in server.ledger.entries())
            if tally.answers >= wanted or ended.status == 0:
                break
    _look(folder, tally, half)
    shutil.rmtree(folder)
    return tally


def _look(folder: Path, tally: Tally, half: bool) -> None:
    try:
        found, events = rows(folder), list(read_events(folder))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for here
        tally.unreadable += 1
        tally.notes.append(f"{folder.name} cannot be read: {error!r}"[:300])
        return
    tally.failed += sum(row["status"] == "failed" for row in found)
    tally.unended += sum(row["status"] == "pending" for row in found)
    if not half:
        scored = [row["target"] for row in found if row["scores"] or row["explanation"]]
        scored += [event.target for event in events if event.event in ("score", "evidence")]
        tally.scored += len(set(scored))
