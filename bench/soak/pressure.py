"""Budgets, busy servers, and the program's own time.

budget   a run of many targets with a limit of calls makes no more calls than that, and those in
         flight
load     32 investigations whose answers take 2 s keep the server busy: mean answers in flight over
         32, between the first and the last moment at which there are 32
CPU      CPU seconds of a process of many targets minus those of one with two, over the replies in
         between; the server is in another process, the tiny subject's passes are included
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...agent.runlog.log import read_events
from ..loopback import Loopback, Rule, Script
from . import fixtures
from .fork_server import EXIT, ForkServer
from .kill_runs import SoakModel

CONCURRENCY = 8


@dataclass(frozen=True)
class BudgetCheck:
    """One limit of calls, and the calls that were made under it."""

    limit: int
    asked: int
    side_by_side: int = CONCURRENCY

    @property
    def over(self) -> int:
        """Calls beyond the limit and those that may be in flight when it is reached."""
        return max(0, self.asked - self.limit - (self.side_by_side - 1))


def check_budgets(
    folder: Path, index: Path, fork_server: ForkServer, limits: Sequence[int]
) -> list[BudgetCheck]:
    """Execute a run under each limit until it stops."""
    checks = []
    with Loopback(SoakModel(), script=Script(rules=(Rule(delay_s=0.05),)), keep=False) as server:
        for limit in limits:
            run = folder / f"budget-{limit}"
            url = server.url("openai", run.name)
            fixtures.make_soak_run(
                run,
                index,
                fixtures.targets(24),
                explainer="openai:soak",
                base_url=url,
                concurrency=CONCURRENCY,
            )
            exit_ = fork_server.work(run, limits={"calls": limit})
            if exit_.status != EXIT["budget"]:
                raise RuntimeError(
                    f"a run limited to {limit} calls ended with status {exit_.status} before its budget was reached"
                )
            checks.append(BudgetCheck(limit, len(server.ledger.entries(run.name))))
            shutil.rmtree(run)
    return checks


@dataclass(frozen=True)
class ServerLoad:
    """How busy a run kept its server.

    Attributes:
        answer_s: seconds that each answer takes.
    """

    investigations: int
    targets: int
    answer_s: float
    share: float | None
    """Mean answers in flight over investigations; None if there were never that many at once."""
    bottleneck: str
    """What the run waited for most, according to its log."""


def measure_load(
    folder: Path,
    index: Path,
    fork_server: ForkServer,
    concurrency: int,
    targets: int,
    answer_s: float,
) -> ServerLoad:
    """Execute one run with slow answers."""
    run = folder / "busy"
    with Loopback(SoakModel(), script=Script(delay_s=answer_s), keep=False) as server:
        url = server.url("openai")
        fixtures.make_soak_run(
            run,
            index,
            fixtures.targets(targets),
            explainer="openai:soak",
            base_url=url,
            concurrency=concurrency,
        )
        fork_server.work(run)
        in_flight = server.ledger.in_flight(concurrency)
    loads = [event.data for event in read_events(run) if event.event == "load"]
    shutil.rmtree(run)
    return ServerLoad(
        concurrency,
        targets,
        answer_s,
        None if in_flight is None else in_flight / concurrency,
        loads[-1]["bottleneck"] if loads else "",
    )


def cpu_ms_per_turn(folder: Path, index: Path, fork_server: ForkServer, targets: int = 48) -> float:
    """CPU milliseconds per reply."""
    cpu_s, turns = [], []
    with Loopback(SoakModel(), keep=False) as server:
        for n in (2, targets):
            run = folder / f"cpu-{n}"
            url = server.url("openai")
            fixtures.make_soak_run(
                run, index, fixtures.targets(n), explainer="openai:soak", base_url=url
            )
            cpu_s.append(fork_server.work(run).cpu_s)
            turns.append(sum(event.event == "llm_call" for event in read_events(run)))
            shutil.rmtree(run)
    return 1000 * (cpu_s[1] - cpu_s[0]) / (turns[1] - turns[0])
