"""Answers that are wrong in every way that there is a name for, until so many were given: no crash,
no score from any.

Three kinds of run take turns, over each wire:

1. Every answer is harmful, a fault of `llm.loopback.faults` that leaves nothing of a good reply,
   each in its turn: no target may end with an explanation or a score, and none without an end.
2. Half of the answers are good and the others any fault, so that conversations go on to where a
   wrong answer does more harm. A target may be explained there, but its explanation must have been
   proposed by a reply that was good, or whose fault is harmless.
3. Every answer is harmless, wrong in its bookkeeping only: all must end as they do with good
   answers, and where the counts are none, none may be in the log.

Runs of the first two kinds are resumed when they have ended: failed targets are tried again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ...agent.runlog.log import Data, Event, read_events
from ...agent.runlog.views import target_rows
from ..loopback import Loopback, Rule, Script
from ..loopback.faults import HARMLESS, NAMES, UNCOUNTED
from ..loopback.wires import Provider
from . import fixtures
from .fork_server import ForkServer
from .kill_runs import PROVIDERS, Curious

Kind = Literal["harmful", "half", "harmless"]
KINDS: tuple[Kind, ...] = ("harmful", "half", "harmless")
TARGETS, HARMLESS_TARGETS = 72, 12
A_TARGET = 4
"""Malformed answers that a target gets at least, before it fails for good or is explained."""
RESUMED = 2
"""Times that a run is resumed after it has ended."""
_COUNTS = ("seconds", "input_tokens", "output_tokens", "cached_tokens", "usd")
"""What rows say of clocks and counts, which harmless answers may change."""


@dataclass
class MalformedTally:
    """What was counted. All from `crashes` to `unreadable` must be 0."""

    answers: int = 0
    """Malformed ones that went out."""
    harmless: int = 0
    """Those of them that carry a good reply."""
    runs: int = 0
    failed: int = 0
    """Targets that ended as failures, as they should."""
    explained: int = 0
    """Targets with an explanation in runs with half of the answers good."""
    crashes: int = 0
    """Processes that ended otherwise than as done or as failed."""
    scored: int = 0
    """Targets with a score or an explanation in runs without one good answer."""
    stray: int = 0
    """Explanations that no good reply has proposed."""
    changed: int = 0
    """Targets that ended otherwise for harmless answers."""
    believed: int = 0
    """Replies whose counts are none, with counts in the log; or the reverse."""
    unended: int = 0
    unreadable: int = 0
    """Runs whose log or rows cannot be read afterwards."""
    kinds: int = len(NAMES)
    notes: list[str] = field(default_factory=list)

    @property
    def harmful(self) -> int:
        """Malformed answers that leave nothing of a good reply."""
        return self.answers - self.harmless

    def add(self, other: MalformedTally) -> None:
        """Count another's as well."""
        for name in self.__dataclass_fields__:
            if name != "kinds":
                setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True)
class Ground:
    """Where the runs are made, and by whom they are worked on."""

    folder: Path
    index: Path
    nursery: ForkServer


@dataclass(frozen=True)
class Ran:
    """A run that has ended, as far as it can be read."""

    rows: list[Data]
    events: list[Event]
    source: Mapping[str, str]
    """Hash of a request to what the server answered, the last time that it was asked."""

    def replies(self) -> Iterator[tuple[str, str, Data]]:
        """Of each reply in the log: its target, what the server says that it was, and its row."""
        for event in self.events:
            if event.event == "llm_call":
                ids = [call["id"] for call in event.data["answer"]["calls"]]
                known = (self.source.get(id.rpartition("_")[2], "") for id in ids)
                yield str(event.target), next(known, ""), event.data


def torment(
    folder: Path, index: Path, nursery: ForkServer, wanted: int, report: Callable[[int], None]
) -> MalformedTally:
    """Runs until `wanted` harmful answers were given, of every kind at least one."""
    tally, ground_ = MalformedTally(), Ground(folder, index, nursery)
    while wanted and (tally.runs < len(KINDS) or tally.harmful < wanted):
        tally.add(_one(ground_, tally.runs, max(HARMLESS_TARGETS, wanted - tally.harmful)))
        report(min(tally.harmful, wanted))
    return tally


def _one(on: Ground, number: int, wanted: int) -> MalformedTally:
    kind, provider = KINDS[number % len(KINDS)], PROVIDERS[number // len(KINDS) % len(PROVIDERS)]
    name, targets = (
        f"malformed-{number}",
        fixtures.targets(min(TARGETS, wanted // A_TARGET), first=number * TARGETS),
    )
    tally = MalformedTally(runs=1)
    if kind == "harmless":
        few = targets[:HARMLESS_TARGETS]
        whole = _run(on, f"{name}-whole", provider, Rule(), few, MalformedTally())
        found = _run(on, name, provider, Rule(fault="any_harmless"), few, tally)
        if whole and found:
            _look_harmless(whole, found, tally)
        return tally
    rule = Rule(share=0.5, fault="any") if kind == "half" else Rule(fault="any_harmful")
    if found := _run(on, name, provider, rule, targets, tally, most=wanted):
        tally.failed = sum(row["status"] == "failed" for row in found.rows)
        tally.unended = sum(row["status"] == "pending" for row in found.rows)
        (_look_half if kind == "half" else _look_harmful)(found, provider, tally)
    return tally


def _run(
    on: Ground,
    name: str,
    provider: Provider,
    rule: Rule,
    targets: list[str],
    tally: MalformedTally,
    most: int = 0,
) -> Ran | None:
    """A run with such answers, taken to its end and resumed; None when it cannot be read."""
    folder = on.folder / name
    with Loopback(Curious(), script=Script(rules=(rule,)), keep=False) as server:
        settings = {
            "explainer": f"{provider}:soak",
            "base_url": server.url(provider),
            "concurrency": 8,
        }
        fixtures.make(folder, on.index, targets, **settings)
        entries = server.ledger.entries()
        for _ in range(1 + RESUMED):
            ended = on.nursery.work(folder)
            if ended.status not in (0, 4):
                tally.crashes += 1
                tally.notes.append(f"{folder.name} ended with {ended.status}")
            entries = server.ledger.entries()
            if ended.status == 0 or (most and len(entries) >= most):
                break
    tally.answers = sum(entry.what in NAMES for entry in entries)
    tally.harmless = sum(entry.what in HARMLESS[provider] for entry in entries)
    try:
        return Ran(
            target_rows(folder),
            list(read_events(folder)),
            {entry.hash: entry.what for entry in entries},
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for here
        tally.unreadable += 1
        tally.notes.append(f"{folder.name} cannot be read: {error!r}"[:300])
        return None
    finally:
        shutil.rmtree(folder)


def _look_harmful(found: Ran, provider: Provider, tally: MalformedTally) -> None:
    scored = {row["target"] for row in found.rows if row["scores"] or row["explanation"]}
    scored |= {event.target for event in found.events if event.event in ("score", "evidence")}
    tally.scored = len(scored)
    tally.notes += [
        f"{provider}: {target} has a score, without one good answer" for target in sorted(scored)
    ]


def _look_half(found: Ran, provider: Provider, tally: MalformedTally) -> None:
    """Each explanation must be one that a good reply has proposed."""
    good = {"answered", *HARMLESS[provider]}
    proposed = {
        (target, " ".join(str(one.get("sentence")).split()))
        for target, what, row in found.replies()
        if what in good
        for call in row["answer"]["calls"]
        for one in (call["arguments"] or {}).get("hypotheses", ())
    }
    explained = [(row["target"], row["explanation"]) for row in found.rows if row["explanation"]]
    tally.explained = len(explained)
    stray = [pair for pair in explained if pair not in proposed]
    tally.stray = len(stray)
    tally.notes += [
        f"{provider}: {target}: no good answer has proposed {said!r}" for target, said in stray
    ]


def _look_harmless(whole: Ran, found: Ran, tally: MalformedTally) -> None:
    """The same rows as with good answers, and no count that is none."""
    pairs = zip(_countless(whole.rows), _countless(found.rows), strict=True)
    changed = [a["target"] for a, b in pairs if a != b]
    tally.changed = len(changed)
    counted = [(what, row["input_tokens"] is not None) for _, what, row in found.replies()]
    wrong = [what for what, known in counted if known == (what in UNCOUNTED)]
    tally.believed = len(wrong)
    tally.notes += [f"{target} ended otherwise for harmless answers" for target in changed]
    tally.notes += [
        f"the counts of {what!r} were {'believed' if what in UNCOUNTED else 'lost'}"
        for what in wrong
    ]


def _countless(found: list[Data]) -> list[Data]:
    return [{k: v for k, v in row.items() if k not in _COUNTS} for row in found]
