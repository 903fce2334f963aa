"""Runs whose judges answer in batches, killed at every step of a batch and resumed.

1. A run with a simulator and a judge is executed without batches: its rows are what every other run
   must end with, costs aside.
2. The same run is executed with batches, whose steps `batch_steps` counts.
3. For each step a run is made whose process kills itself there with SIGKILL; the next process is
   killed at the same number of its own steps; a third ends the run.
4. The server's ledger must have each answer once, and the rows must be the same.
"""

from __future__ import annotations

import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path

from ...agent.runlog.log import Data
from ...agent.runlog.views import COST_KEYS, target_rows
from ..loopback import Loopback, Script
from ..loopback.demo_model import DemoModel
from . import fixtures
from .fork_server import ForkServer

SCRIPT = Script(batch_s=0.05, batch_faults=("shuffled", "twice"))
PATIENCE_S = 1.0
"""Also the time for which a batch that may have been created is looked for."""


@dataclass
class BatchKillTally:
    """Counts over all runs. Those of `broken` must be 0."""

    runs: int = 0
    kills: int = 0
    steps: int = 0
    """The last step at which a run was to be killed; an undisturbed run has about as many."""
    paid_twice: int = 0
    """Answers that the server gave again."""
    lost: int = 0
    """Runs that did not end."""
    other_rows: int = 0
    """Runs whose rows differ from those without batches."""
    notes: list[str] = field(default_factory=list)

    @property
    def broken(self) -> int:
        """Broken promises."""
        return self.paid_twice + self.lost + self.other_rows

    def add(self, other: BatchKillTally) -> None:
        """Add the counts of another tally."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class BatchKiller:
    """Kills runs at the steps of their batches.

    Args:
        folder: for its runs, which are deleted once they have been checked.
        provider: whose batches.
    """

    def __init__(self, folder: Path, index: Path, fork_server: ForkServer, provider: str) -> None:
        self._folder, self._index, self._fork_server = folder, index, fork_server
        self._provider = provider

    def kill(self, every: int, most: int) -> BatchKillTally:
        """Kill runs at every so many steps, at most so many runs."""
        tally = BatchKillTally()
        with Loopback(DemoModel(), script=SCRIPT, keep=False) as server:
            expected = self._rows(self._finished(server, "direct", batch=False))
            step = every
            while tally.runs < most and self._killed_at(step, server, expected, tally):
                step += every
            tally.steps = step
        return tally

    def _killed_at(
        self, step: int, server: Loopback, expected: list[Data], tally: BatchKillTally
    ) -> bool:
        """Kill one run at a step, and check what becomes of it; False if it ended before."""
        room = f"{self._provider}-{step}"
        folder = self._make(server, room, batch=True)
        kills = 0
        for _ in range(2):
            if self._fork_server.work(folder, dies_at=step).status != -signal.SIGKILL:
                break
            kills += 1
        status = self._fork_server.work(folder).status
        tally.runs, tally.kills = tally.runs + 1, tally.kills + kills
        if status != 0:
            tally.lost += 1
            tally.notes.append(f"{room} ended with {status}")
        if again := sum(n - 1 for n in server.ledger.answered(room).values()):
            tally.paid_twice += again
            tally.notes.append(f"{room}: {again} answers were paid for twice")
        if self._rows(folder) != expected:
            tally.other_rows += 1
            tally.notes.append(f"{room} has other rows")
        shutil.rmtree(folder)
        return kills > 0

    def _finished(self, server: Loopback, room: str, *, batch: bool) -> Path:
        folder = self._make(server, f"{self._provider}-{room}", batch=batch)
        self._fork_server.work(folder)
        return folder

    def _make(self, server: Loopback, room: str, *, batch: bool) -> Path:
        url = server.url(self._provider, room)
        reader = f"{self._provider}:reader"
        return fixtures.make_soak_run(
            self._folder / room,
            self._index,
            fixtures.targets(2, first=4),
            explainer="ten-tokens",
            simulator=reader,
            simulator_base_url=url,
            simulator_contexts=12,
            judge=reader,
            judge_base_url=url,
            batch=batch,
            patience=PATIENCE_S,
        )

    def _rows(self, folder: Path) -> list[Data]:
        return [
            {name: value for name, value in row.items() if name not in COST_KEYS}
            for row in target_rows(folder)
        ]
