"""Runs that are killed at random moments and resumed until they are done, compared with an
undisturbed run.

1. A run of two concurrent targets is executed undisturbed, with each provider's protocol. Its rows
   are what all other runs must end with, and its duration is the span from which the moments of
   kills are drawn.
2. A run like it is started, killed with SIGKILL at a random moment and started again, up to
   `MAX_KILLS` times; then it runs to its end.
3. Its log is checked (`run_checks`).
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ...agent.llm.conversation import Reply, Request, UserMessage
from ...agent.runlog.log import Data
from ..loopback import Loopback, Rule, Script
from ..loopback.demo_model import DemoModel, speak
from ..loopback.wires import Provider
from . import fixtures
from .fork_server import ForkServer
from .run_checks import KillTally, RunProcess, check_log, check_requests, journaled, untimed_rows

MAX_KILLS = 3
"""Kills per run, at most."""
DELAY_S = 0.02
"""Delay of each answer, so that some kills happen while a request is in flight."""
PROVIDERS: tuple[Provider, ...] = ("openai", "anthropic")


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


@contextmanager
def soak_server(delay_s: float = DELAY_S) -> Iterator[Loopback]:
    """The server of all runs that are killed.

    Args:
        delay_s: of each answer.
    """
    with Loopback(SoakModel(), script=Script(rules=(Rule(delay_s=delay_s),)), keep=False) as server:
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
        check_requests(self._server.ledger, room, processes, tally)
        check_log(folder, whole.rows, tally)
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
        return Undisturbed(untimed_rows(folder), time.monotonic() - started)

    def _kill(
        self, folder: Path, after_s: float, tally: KillTally, processes: list[RunProcess]
    ) -> bool:
        """Start a process and kill it after some seconds; False if the run ended first."""
        key, before = f"process-{len(processes)}", journaled(folder)
        pid = self._fork_server.start(folder, key=key)
        time.sleep(after_s)
        with suppress(ProcessLookupError):  # the run has ended
            os.kill(pid, signal.SIGKILL)
        exit_ = self._fork_server.wait()
        processes.append(RunProcess(key, frozenset(before), frozenset(journaled(folder))))
        if exit_.status != -signal.SIGKILL:
            return False
        tally.killed_runs, tally.kills = 1, tally.kills + 1
        return True

    def _finish(self, folder: Path, tally: KillTally, processes: list[RunProcess]) -> None:
        """Run one more process to the end."""
        key, before = f"process-{len(processes)}", journaled(folder)
        exit_ = self._fork_server.work(folder, key=key)
        processes.append(RunProcess(key, frozenset(before), frozenset(journaled(folder))))
        if exit_.status != 0:
            tally.lost += 1
            tally.notes.append(f"{folder.name} ended with {exit_.status}")
