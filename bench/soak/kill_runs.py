"""Runs that are killed at random moments and resumed until they are done, compared with an
undisturbed run.

1. A run of two concurrent targets is executed undisturbed, with each provider's protocol. Its rows
   are what all other runs must end with, and its duration is the span from which the moments of
   kills are drawn.
2. A run like it is started, killed with SIGKILL at a random moment and started again, up to
   `MAX_KILLS` times; then it runs to its end.
3. The run's log is compared with the server's ledger, process by process. Each process of a run has
   its own API key, and must not send a request whose reply was in the journal when it began. (The
   time at which the server reads a request does not say who sent it: a request of a killed process
   may still be in the socket.) The server writes the hash of the request into the ids of the tool
   calls of its answer, so that a journaled reply names its request.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...agent.llm.conversation import Reply, Request, UserMessage
from ...agent.runlog.log import Data, canonical, read_events
from ...agent.runlog.views import COST_KEYS, TargetRow, target_rows
from ..loopback import Loopback, Rule, Script
from ..loopback.demo_model import DemoModel, speak
from ..loopback.wires import Provider
from . import fixtures
from .fork_server import ForkServer

MAX_KILLS = 3
"""Kills per run, at most."""
DELAY_S = 0.02
"""Delay of each answer, so that some kills happen while a request is in flight."""
PROVIDERS: tuple[Provider, ...] = ("openai", "anthropic")
_TIMING = tuple(key for key in COST_KEYS if key != "failed_scores")
"""Fields of rows that depend on the server's clock and cache, and on requests in flight at a kill, which
are paid for again; no two runs share them."""


class SoakModel(DemoModel):
    """The demo model, which also predicts where the unit stays quiet and calls instruments.

    Units of a random subject have no meaning. Predictions of quiet mostly come true, so that runs
    reach a second look, holdout and a verdict.
    """

    def reply(self, request: Request) -> Reply:
        """The demo model's reply; with experiments come more of them and calls of instruments."""
        reply = super().reply(request)
        tests = [call for call in reply.calls if call.name in ("experiment", "challenge")]
        if not tests or not tests[0].arguments:
            return reply
        name, arguments = tests[0].name, tests[0].arguments
        experiments = arguments["experiments"][:3] + _quiet_experiments(request, name)
        return speak([(name, {"experiments": experiments}), *INSTRUMENT_CALLS])


INSTRUMENT_CALLS: tuple[tuple[str, Data], ...] = (
    ("logit_lens", {"unit": "U"}),
    ("activations_exemplars", {"unit": "U", "side": "-", "k": 2}),
    ("ablate", {"texts": ["the cat sat on the river bank"]}),
)
_LEVEL = re.compile(r"side (.)[^\n]*? fires means at least ([\d.e-]+)", re.IGNORECASE)


def _quiet_experiments(request: Request, tool: str) -> list[Data]:
    """Predictions that the unit stays below the firing level on some words."""
    first = request.messages[0]
    levels = _LEVEL.findall(first.text if isinstance(first, UserMessage) else "")
    experiments: list[Data] = []
    for number, word in enumerate(("cat", "river", "told", "year", "blue")):
        side, level = levels[number % len(levels)]
        bounds = {"low": -1e6, "high": 0.99 * float(level), "side": side, "focus": word}
        experiments.append(
            {"text": f"the {tool} {number} said {word}", "predicts": "within"} | bounds
        )
    hypothesis = {"hypothesis": "h1"} if tool == "experiment" else {}
    return [experiment | hypothesis for experiment in experiments]


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


@contextmanager
def soak_server() -> Iterator[Loopback]:
    """The server of all runs that are killed."""
    with Loopback(SoakModel(), script=Script(rules=(Rule(delay_s=DELAY_S),)), keep=False) as server:
        yield server


@dataclass(frozen=True)
class Undisturbed:
    """The rows that every run must end with, and how long a run takes."""

    rows: list[Data]
    seconds: float


class RunKiller:
    """Kills runs, resumes them and counts. Several share one server; each has its own fork server.

    Args:
        folder: for its runs, which are deleted once they have been checked.
    """

    def __init__(
        self, folder: Path, index: Path, server: Loopback, fork_server: ForkServer
    ) -> None:
        self._folder, self._index, self._server = folder, index, server
        self._fork_server = fork_server
        self._whole = {provider: self._undisturbed(provider) for provider in PROVIDERS}

    def kill_one_run(self, number: int, seed: int) -> KillTally:
        """Make, kill, resume and check one run."""
        rng = random.Random(f"{seed}:{number}")
        provider = PROVIDERS[number % 2]
        whole, room = self._whole[provider], f"run-{number}"
        folder, tally = self._make(provider, room), KillTally(runs=1)
        processes: list[RunProcess] = []
        for _ in range(rng.randint(1, MAX_KILLS)):
            if not self._kill(folder, whole.seconds * rng.random(), tally, processes):
                break
        self._finish(folder, tally, processes)
        self._check_requests(folder, room, tally, processes)
        self._check_log(folder, whole, tally)
        shutil.rmtree(folder)
        return tally

    def _make(self, provider: str, room: str) -> Path:
        url = self._server.url(provider, room)
        return fixtures.make_soak_run(
            self._folder / room,
            self._index,
            fixtures.targets(2, first=4),
            explainer=f"{provider}:soak",
            base_url=url,
            concurrency=2,
        )

    def _undisturbed(self, provider: str) -> Undisturbed:
        folder = self._make(provider, f"{self._folder.name}-{provider}")
        started = time.monotonic()
        self._finish(folder, KillTally(), [])
        return Undisturbed(_without_timing(target_rows(folder)), time.monotonic() - started)

    def _kill(
        self, folder: Path, after_s: float, tally: KillTally, processes: list[RunProcess]
    ) -> bool:
        """Start a process and kill it after some seconds; False if the run ended first."""
        key, before = f"process-{len(processes)}", _journaled(folder)
        pid = self._fork_server.start(folder, key=key)
        time.sleep(after_s)
        with suppress(ProcessLookupError):  # the run has ended
            os.kill(pid, signal.SIGKILL)
        exit_ = self._fork_server.wait()
        processes.append(RunProcess(key, frozenset(before), frozenset(_journaled(folder))))
        if exit_.status != -signal.SIGKILL:
            return False
        tally.killed_runs, tally.kills = 1, tally.kills + 1
        return True

    def _finish(self, folder: Path, tally: KillTally, processes: list[RunProcess]) -> None:
        """Run one more process to the end."""
        key, before = f"process-{len(processes)}", _journaled(folder)
        exit_ = self._fork_server.work(folder, key=key)
        processes.append(RunProcess(key, frozenset(before), frozenset(_journaled(folder))))
        if exit_.status != 0:
            tally.lost += 1
            tally.notes.append(f"{folder.name} ended with {exit_.status}")

    def _check_requests(
        self, folder: Path, room: str, tally: KillTally, processes: list[RunProcess]
    ) -> None:
        """Compare the server's ledger with what the journal held, for each process."""
        entries = self._server.ledger.entries(room)
        tally.calls += len(entries)
        for process in processes:
            sent = Counter(entry.hash for entry in entries if entry.key == process.key)
            tally.in_flight += process.in_flight(sent)
            if again := process.asked_again(sent):
                tally.asked_again += again
                tally.notes.append(f"{folder.name}: {process.key} sent {again} requests again")

    def _check_log(self, folder: Path, expected: Undisturbed, tally: KillTally) -> None:
        tally.journaled_twice += sum(n - 1 for n in Counter(_journaled(folder)).values())
        ends = Counter(e.target for e in read_events(folder) if e.event == "conclusion")
        rows = target_rows(folder)
        tally.lost += sum(row["status"] != "done" or row["verdict"] is None for row in rows)
        tally.twice += sum(n - 1 for n in ends.values())
        untimed = _without_timing(rows)
        if untimed != expected.rows:
            tally.other_rows += 1
            tally.notes.append(f"{folder.name}: {_difference(expected.rows, untimed)}")


def _journaled(folder: Path) -> list[str]:
    """Hashes of the requests whose replies are in the log, with repetitions."""
    replies = [e.data["answer"] for e in read_events(folder) if e.event == "llm_call"]
    return [reply["calls"][0]["id"].rpartition("_")[2] for reply in replies]


def _without_timing(rows: Sequence[TargetRow]) -> list[Data]:
    return [{key: row[key] for key in row if key not in _TIMING} for row in rows]


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
