"""Thousands of answers, malformed in every way that has a name: no crash, and no score from any.

Three kinds of run take turns, with each provider's protocol:

1. Every answer is harmful: a fault of `bench.loopback.faults` that leaves nothing of a good reply,
   each in its turn. No target may end with an explanation or a score, and all must end.
2. Half of the answers are good and the others have any fault, so that conversations reach places
   where a malformed answer does more harm. A target may be explained, but its explanation must have
   been proposed by a good reply, or by one whose fault is harmless.
3. Every answer is harmless: malformed in its bookkeeping only. All targets must end as they do with
   good answers, and malformed token counts must not be in the log.

Runs of the first two kinds are resumed after they have ended, which retries failed targets.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ...agent.runlog.log import Data, Event, read_events
from ...agent.runlog.views import TargetRow, target_rows
from ..loopback import Loopback, Rule, Script
from ..loopback.faults import HARMLESS, NAMES, REPAIRED, UNCOUNTED
from ..loopback.wires import Provider
from . import fixtures
from .fork_server import ForkServer
from .kill_runs import PROVIDERS, SoakModel

Kind = Literal["harmful", "half", "harmless"]
KINDS: tuple[Kind, ...] = ("harmful", "half", "harmless")
TARGETS, HARMLESS_TARGETS = 72, 12
LIST = "list"
"""Scorer of the floor *list*, which needs no explanation."""
MIN_PER_TARGET = 4
"""Malformed answers that a target gets at least, before it fails for good or is explained."""
RESUMES = 2
"""Times that a run is resumed after it has ended."""
_COUNTS = ("seconds", "input_tokens", "output_tokens", "cached_tokens", "usd", "estimated_calls")
"""Fields of rows with times and token counts, which harmless faults may change."""


@dataclass
class MalformedTally:
    """Counts over all runs. Those from `crashes` to `unreadable` must be 0."""

    answers: int = 0
    """Malformed answers that the server gave."""
    harmless: int = 0
    """Those of them that contain a good reply."""
    runs: int = 0
    failed: int = 0
    """Targets that ended as failures, as they should."""
    explained: int = 0
    """Targets with an explanation in runs with half of the answers good."""
    crashes: int = 0
    """Processes that ended with another status than done or failed."""
    scored: int = 0
    """Targets with a score or an explanation in runs without any good answer."""
    stray: int = 0
    """Explanations that no good reply proposed."""
    changed: int = 0
    """Targets that harmless faults changed."""
    believed: int = 0
    """Replies whose malformed counts are in the log, or whose good counts are not."""
    unended: int = 0
    unreadable: int = 0
    """Runs whose log or rows cannot be read."""
    kinds: int = len(NAMES)
    notes: list[str] = field(default_factory=list)

    @property
    def harmful(self) -> int:
        """Malformed answers that leave nothing of a good reply."""
        return self.answers - self.harmless

    def add(self, other: MalformedTally) -> None:
        """Add the counts of another tally."""
        for name in self.__dataclass_fields__:
            if name != "kinds":
                setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True)
class MalformedSetup:
    """Where the runs are made, and the fork server that executes them."""

    folder: Path
    index: Path
    fork_server: ForkServer


@dataclass(frozen=True)
class FinishedRun:
    """A run that has ended, read from its log."""

    rows: list[TargetRow]
    events: list[Event]
    faults: Mapping[str, str]
    """Hash of a request to the fault of its last answer, or "answered"."""

    def replies(self) -> Iterator[tuple[str, str, Data]]:
        """For each reply in the log: its target, its fault or "answered", and its data."""
        for event in self.events:
            if event.event == "llm_call":
                ids = [call["id"] for call in event.data["answer"]["calls"]]
                faults = (self.faults.get(id.rpartition("_")[2], "") for id in ids)
                yield str(event.target), next(faults, ""), event.data


def give_malformed_answers(
    folder: Path, index: Path, fork_server: ForkServer, n: int, report: Callable[[int], None]
) -> MalformedTally:
    """Execute runs until n harmful answers were given, with at least one run of each kind."""
    tally, setup = MalformedTally(), MalformedSetup(folder, index, fork_server)
    while n and (tally.runs < len(KINDS) or tally.harmful < n):
        tally.add(_run_and_check(setup, tally.runs, max(HARMLESS_TARGETS, n - tally.harmful)))
        report(min(tally.harmful, n))
    return tally


def _run_and_check(setup: MalformedSetup, number: int, answers: int) -> MalformedTally:
    """Execute the next run, of the kind whose turn it is, for up to so many malformed answers."""
    kind, provider = KINDS[number % len(KINDS)], PROVIDERS[number // len(KINDS) % len(PROVIDERS)]
    name = f"malformed-{number}"
    n_targets = min(TARGETS, answers // MIN_PER_TARGET)
    targets = fixtures.targets(n_targets, first=number * TARGETS)
    tally = MalformedTally(runs=1)
    if kind == "harmless":
        few = targets[:HARMLESS_TARGETS]
        expected = _run(setup, f"{name}-whole", provider, Rule(), few, MalformedTally())
        run = _run(setup, name, provider, Rule(fault="any_harmless"), few, tally)
        if expected and run:
            _check_harmless(expected, run, tally)
        return tally
    rule = Rule(share=0.5, fault="any") if kind == "half" else Rule(fault="any_harmful")
    if run := _run(setup, name, provider, rule, targets, tally, max_answers=answers):
        tally.failed = sum(row["status"] == "failed" for row in run.rows)
        tally.unended = sum(row["status"] == "pending" for row in run.rows)
        (_check_half if kind == "half" else _check_harmful)(run, provider, tally)
    return tally


def _run(
    setup: MalformedSetup,
    name: str,
    provider: Provider,
    rule: Rule,
    targets: list[str],
    tally: MalformedTally,
    max_answers: int = 0,
) -> FinishedRun | None:
    """Execute and resume a run under a rule of the server; None if it cannot be read afterwards."""
    folder = setup.folder / name
    with Loopback(SoakModel(), script=Script(rules=(rule,)), keep=False) as server:
        settings = {
            "explainer": f"{provider}:soak",
            "base_url": server.url(provider),
            "concurrency": 8,
        }
        fixtures.make_soak_run(folder, setup.index, targets, **settings)
        entries = server.ledger.entries()
        for _ in range(1 + RESUMES):
            exit_ = setup.fork_server.work(folder)
            if exit_.status not in (0, 4):
                tally.crashes += 1
                tally.notes.append(f"{folder.name} ended with {exit_.status}")
            entries = server.ledger.entries()
            if exit_.status == 0 or (max_answers and len(entries) >= max_answers):
                break
    tally.answers = sum(entry.what in NAMES for entry in entries)
    tally.harmless = sum(entry.what in HARMLESS[provider] for entry in entries)
    try:
        faults = {entry.hash: entry.what for entry in entries}
        return FinishedRun(target_rows(folder), list(read_events(folder)), faults)
    except Exception as error:  # noqa: BLE001 - a finding: counted and noted, and the soak goes on
        tally.unreadable += 1
        tally.notes.append(f"{folder.name} cannot be read: {error!r}"[:300])
        return None
    finally:
        shutil.rmtree(folder)


def _check_harmful(run: FinishedRun, provider: Provider, tally: MalformedTally) -> None:
    # The floor *list* is scored for a target without an explanation, too.
    scored = {
        row["target"]
        for row in run.rows
        if row["explanation"] or any(score["scorer"] != LIST for score in row["scores"])
    }
    for event in run.events:
        is_score = event.event == "score" and event.data["scorer"] != LIST
        if is_score or event.event == "evidence":
            scored.add(str(event.target))
    tally.scored = len(scored)
    tally.notes += [
        f"{provider}: {target} has a score, without any good answer" for target in sorted(scored)
    ]


def _check_half(run: FinishedRun, provider: Provider, tally: MalformedTally) -> None:
    """Each explanation must have been proposed by a good reply."""
    # a reply whose calls came without ids cannot be found in the ledger: its fault is ""
    good = {"answered", "", *HARMLESS[provider], *REPAIRED}
    proposed: set[tuple[str, str]] = set()
    for target, fault, row in run.replies():
        for call in row["answer"]["calls"] if fault in good else ():
            hypotheses = (call["arguments"] or {}).get("hypotheses", ())
            sentences = [str(hypothesis.get("sentence")) for hypothesis in hypotheses]
            proposed |= {(target, " ".join(sentence.split())) for sentence in sentences}
    explained = [(row["target"], row["explanation"]) for row in run.rows if row["explanation"]]
    tally.explained = len(explained)
    stray = [pair for pair in explained if pair not in proposed]
    tally.stray = len(stray)
    tally.notes += [
        f"{provider}: {target}: no good answer proposed {sentence!r}" for target, sentence in stray
    ]


def _check_harmless(expected: FinishedRun, run: FinishedRun, tally: MalformedTally) -> None:
    """Rows must be those with good answers, and no malformed token count may be logged."""
    pairs = zip(_without_counts(expected.rows), _without_counts(run.rows), strict=True)
    changed = [before["target"] for before, after in pairs if before != after]
    tally.changed = len(changed)
    counted = [(fault, row["input_tokens"] is not None) for _, fault, row in run.replies()]
    wrong = [fault for fault, logged in counted if logged == (fault in UNCOUNTED)]
    tally.believed = len(wrong)
    tally.notes += [f"{target} was changed by harmless faults" for target in changed]
    tally.notes += [
        f"the counts of {fault!r} were {'believed' if fault in UNCOUNTED else 'lost'}"
        for fault in wrong
    ]


def _without_counts(rows: list[TargetRow]) -> list[Data]:
    return [{key: row[key] for key in row if key not in _COUNTS} for row in rows]
