"""Runs on a dying cluster, whose workers, nodes and drivers are killed, compared with runs in one process.

1. A run of each explainer (the formula search, and a language model over each provider's protocol) is
   executed in one process. Its rows, events and files are what all others must end with.
2. Runs like it are made on the workers of a cluster until there were as many kills as wanted. Half of
   them have their engine in this process, and lose worker processes, actors and nodes. The others are
   commands (`hubel resume --engine ray`), and lose worker processes, nodes and the driver, which is
   the command itself: the next command continues.
3. Each run's log is checked (`run_checks`). Where no driver was killed the server must have answered
   each request once; where one was, requests in flight at that moment are sent again.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ...agent.engine.engine import EngineChoice
from ...agent.engine.ray_engine import MOST_DEATHS, RayEngine
from ...agent.run.execute import execute_run
from ...agent.runlog.layout import PIECES
from ...tools.files import cache_dir
from ..loopback import Loopback
from . import fixtures
from .cluster import NODES, PAUSE_S, ClusterKiller
from .cluster_world import ClusterWorld
from .fork_server import ChildExit, ForkServer, key_variables
from .run_checks import (
    KillTally,
    RunOutcome,
    RunProcess,
    check_log,
    check_outcome,
    check_requests,
    journaled,
    run_outcome,
)

SEARCH = "compositional"
EXPLAINERS = ("openai:soak", SEARCH, "anthropic:soak")
TARGETS = 4
"""Of each run: enough that work is left when a worker has been replaced."""
MOST_KILLS = 3
"""Kills of one run whose engine is in this process, at most, so that all kinds of runs are killed."""
MOST_DRIVERS = 3
"""Kills of the driver of one run, at most."""
OF_A_COMMAND = ("driver", "driver", "process", "node")
"""What is killed where the driver is a command, half of the time the driver."""
WORKERS_ONLY = ("process", "node")
EARLY, COLLECTS = 0.15, 0.4
"""Of so many commands something is killed at once, also before a worker has started; of so many, those
included, as soon as one has. The others are let be until they investigate."""
STARTS_S = 120.0
"""Seconds for which that is waited for, before anything is killed all the same."""
COMMAND_S = 600
"""Seconds after which a command counts as hanging."""


@dataclass
class ClusterRunTally(KillTally):
    """Counts over all runs on a cluster. Those of `broken` must be 0."""

    by_kind: Counter[str] = field(default_factory=Counter)
    """Kills of each kind."""
    of_models: int = 0
    """Kills of runs that a language model explained."""
    deaths: int = 0
    """Workers whose death cost a piece or a call, where the engine is in this process."""
    other_events: int = 0
    """Runs with an event that differs from the one of the run in one process."""
    other_files: int = 0
    """Runs with a file that differs, or one too many or too few."""
    no_json: int = 0
    """Lines on the standard output of `--json` that are none."""
    seconds: float = 0.0

    @property
    def broken(self) -> int:
        """Broken promises."""
        return super().broken + self.other_events + self.other_files + self.no_json


class ClusterRunKiller:
    """Makes runs on a cluster, and kills what they run on.

    Args:
        folder: for its runs, which are deleted once they have been checked.
        fork_server: whose children are the commands.
    """

    def __init__(
        self,
        folder: Path,
        world: ClusterWorld,
        server: Loopback,
        fork_server: ForkServer,
        killer: ClusterKiller,
    ) -> None:
        self._folder, self._world, self._server = folder, world, server
        self._fork_server, self._killer = fork_server, killer
        self._tally = ClusterRunTally(by_kind=killer.kills)
        self._whole: dict[str, RunOutcome] = {}

    def kill(self) -> ClusterRunTally:
        """Kill until there were enough kills; returns the counts."""
        started, tally = time.monotonic(), self._tally
        while not self._killer.has_enough:
            explainer = EXPLAINERS[tally.runs % len(EXPLAINERS)]
            before = self._killer.kills.total()
            self._one_run(explainer, is_command=tally.runs % 2 == 0)
            kills = self._killer.kills.total() - before
            tally.runs += 1
            tally.killed_runs += kills > 0
            tally.kills += kills
            tally.of_models += 0 if explainer == SEARCH else kills
        tally.seconds = time.monotonic() - started
        return tally

    def _one_run(self, explainer: str, *, is_command: bool) -> None:
        if explainer not in self._whole:
            self._whole[explainer] = self._undisturbed(explainer)
        folder, tally = self._make(explainer, f"run-{self._tally.runs}"), self._tally
        drivers_before = self._killer.kills["driver"]
        processes = self._commands(folder) if is_command else self._in_this_process(folder)
        check_requests(self._server.ledger, folder.name, processes, tally)
        if self._killer.kills["driver"] == drivers_before:
            again = sum(n - 1 for n in self._server.ledger.answered(folder.name).values())
            if again:
                tally.asked_again += again
                tally.notes.append(f"{folder.name}: {again} answers were paid for twice")
        whole = self._whole[explainer]
        check_log(folder, whole.rows, tally)
        differing = check_outcome(folder, whole)
        tally.other_events += bool(differing.events)
        tally.other_files += bool(differing.files)
        tally.notes += [f"{folder.name}: {line}" for line in differing.events + differing.files]
        shutil.rmtree(folder)

    def _make(self, explainer: str, room: str) -> Path:
        provider = explainer.partition(":")[0]
        settings = {}
        if explainer != SEARCH:
            settings = {"base_url": self._server.url(provider, room), "concurrency": 2}
        targets = fixtures.targets(TARGETS, first=4)
        return fixtures.make_soak_run(
            self._folder / room, self._world.bare_index, targets, explainer=explainer, **settings
        )

    def _undisturbed(self, explainer: str) -> RunOutcome:
        """A run in one process."""
        folder = self._make(explainer, f"whole-{explainer.replace(':', '-')}")
        self._start_command(folder, "whole")
        if (status := self._fork_server.wait().status) != 0:
            raise RuntimeError(f"an undisturbed run ended with {status}: {self._said(folder)}")
        return run_outcome(folder)

    def _in_this_process(self, folder: Path) -> list[RunProcess]:
        """Execute a run on an engine of this process, while its workers are killed."""
        key, before, tally = "process-0", journaled(folder), self._tally
        os.environ |= key_variables(key)
        choice = EngineChoice("ray", self._killer.cluster.address, NODES)
        most_deaths = self._killer.most + 1
        engine = RayEngine.start(choice, folder / PIECES, lambda line: None, most_deaths)
        try:
            with ThreadPoolExecutor(1) as pool:
                done = pool.submit(execute_run, folder, engine=engine)
                self._killer.kill_until(done, engine, MOST_KILLS)
                result = done.result()
        finally:
            tally.deaths += engine.deaths
            engine.close()
        if result.failed or result.pending:
            tally.notes.append(
                f"{folder.name}: {result.failed} targets failed, {result.pending} are pending"
            )
        return [RunProcess(key, frozenset(before), frozenset(journaled(folder)))]

    def _commands(self, folder: Path) -> list[RunProcess]:
        """Execute a run by commands, each of which continues what a killed one left."""
        processes: list[RunProcess] = []
        drivers, tally = self._killer.rng.randint(1, MOST_DRIVERS), self._tally
        while True:
            key, before = f"process-{len(processes)}", journaled(folder)
            choice = ["--engine", "ray", "--address", self._killer.cluster.address]
            pid = self._start_command(folder, key, *choice)
            with ThreadPoolExecutor(1) as pool:
                ended = pool.submit(self._fork_server.wait)
                investigates = partial(self._investigates, folder, key)
                self._kill_until(ended, pid, investigates, may_kill_driver=len(processes) < drivers)
                status = ended.result().status
            processes.append(RunProcess(key, frozenset(before), frozenset(journaled(folder))))
            if status != -signal.SIGKILL:
                break
        if status != 0:
            tally.notes.append(f"{folder.name} ended with {status}: {self._said(folder)}")
        tally.no_json += self._count_lines_that_are_no_json(folder)
        return processes

    def _kill_until(
        self,
        ended: Future[ChildExit],
        pid: int,
        investigates: Callable[[], bool],
        *,
        may_kill_driver: bool,
    ) -> None:
        """Kill at random moments until the command has ended, the last one the command itself.

        Fewer workers are killed than a piece is given up for, so that it is never the cause.

        Args:
            investigates: whether the command has begun to investigate targets.
        """
        killer, rng = self._killer, self._killer.rng
        if (moment := rng.random()) >= COLLECTS:
            self._await(ended, investigates)
        elif moment >= EARLY:
            self._await(ended, lambda: bool(killer.cluster.workers()))
        kills_left = MOST_DEATHS - 1
        while not wait([ended], rng.uniform(*PAUSE_S)).done and not killer.has_enough:
            kind = rng.choice(OF_A_COMMAND if may_kill_driver else WORKERS_ONLY)
            if kind == "driver":
                with suppress(ProcessLookupError):  # it has ended
                    os.kill(pid, signal.SIGKILL)
                    killer.count(kind)
                return
            if kills_left:
                kills_left -= killer.kill(kind)

    def _investigates(self, folder: Path, key: str) -> bool:
        """Whether the process with that key has sent a request, or a worker has investigated a target."""
        entries = self._server.ledger.entries(folder.name)
        return any(entry.key == key for entry in entries) or any((folder / PIECES).glob("*.json"))

    def _await(self, ended: Future[ChildExit], condition: Callable[[], bool]) -> None:
        end = time.monotonic() + STARTS_S
        while not condition() and time.monotonic() < end:
            if wait([ended], 0.2).done:
                return

    def _start_command(self, folder: Path, key: str, *options: str) -> int:
        argv = ["resume", str(folder), "--quiet", "--json", *options]
        output = self._folder / f"{folder.name}.out"
        return self._fork_server.start_command(
            argv, output, cache_dir(), key=key, limit_s=COMMAND_S
        )

    def _count_lines_that_are_no_json(self, folder: Path) -> int:
        """Of what the last command wrote, such as what Ray prints."""
        output = (self._folder / f"{folder.name}.out").read_text(errors="replace")
        others = [line for line in output.splitlines() if not line.startswith('{"')]
        self._tally.notes += [f"{folder.name} printed {line[:200]!r}" for line in others[:1]]
        return len(others)

    def _said(self, folder: Path) -> str:
        """The last line of what the last command said."""
        error = (self._folder / f"{folder.name}.out.err").read_text(errors="replace")
        return (error.strip().splitlines() or [""])[-1]
