"""Budgets, busy servers, and the program's own time.

budget   a run of many targets with a limit of calls takes no more than that and those in flight
busy     32 investigations whose answers take 2 s keep the server busy: mean answers in flight over 32, between the
         first and the last moment at which there are 32
CPU      CPU seconds of a whole process less what one costs that has nothing to ask, over the replies that it read;
         the server is another process, the tiny subject's passes are in it
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
from .kill_runs import Curious

SIDE_BY_SIDE = 8


@dataclass(frozen=True)
class Budgeted:
    """One limit of calls and what was asked under it."""

    limit: int
    asked: int
    side_by_side: int = SIDE_BY_SIDE

    @property
    def over(self) -> int:
        """Calls beyond the limit and those that may be in flight when it is reached."""
        return max(0, self.asked - self.limit - (self.side_by_side - 1))


def budgets(
    folder: Path, index: Path, nursery: ForkServer, limits: Sequence[int]
) -> list[Budgeted]:
    """A run for each limit, stopped by it."""
    found = []
    with Loopback(Curious(), script=Script(rules=(Rule(delay_s=0.05),)), keep=False) as server:
        for limit in limits:
            run = folder / f"budget-{limit}"
            url = server.url("openai", run.name)
            fixtures.make(
                run,
                index,
                fixtures.targets(24),
                explainer="openai:soak",
                base_url=url,
                concurrency=SIDE_BY_SIDE,
            )
            ended = nursery.work(run, limits={"calls": limit})
            if ended.status != EXIT["budget"]:
                raise RuntimeError(
                    f"a run with {limit} calls ended with {ended.status}, not with its budget reached"
                )
            found.append(Budgeted(limit, len(server.ledger.entries(run.name))))
            shutil.rmtree(run)
    return found


@dataclass(frozen=True)
class ServerLoad:
    """How busy a server was kept."""

    investigations: int
    targets: int
    answer_s: float
    share: float | None
    """Mean answers in flight over investigations; None when there never were so many at once."""
    bottleneck: str
    """What the run's log names."""


def busy(
    folder: Path, index: Path, nursery: ForkServer, side_by_side: int, targets: int, answer_s: float
) -> ServerLoad:
    """One run with slow answers."""
    run = folder / "busy"
    with Loopback(Curious(), script=Script(delay_s=answer_s), keep=False) as server:
        url = server.url("openai")
        wanted = fixtures.targets(targets)
        fixtures.make(
            run, index, wanted, explainer="openai:soak", base_url=url, concurrency=side_by_side
        )
        nursery.work(run)
        share = server.ledger.in_flight(side_by_side)
    named = [e.data for e in read_events(run) if e.event == "load"]
    shutil.rmtree(run)
    return ServerLoad(
        side_by_side,
        targets,
        answer_s,
        None if share is None else share / side_by_side,
        named[-1]["bottleneck"] if named else "",
    )


def cpu_a_turn(folder: Path, index: Path, nursery: ForkServer, targets: int = 48) -> float:
    """CPU milliseconds of a reply's turn."""
    spent, turns = [], []
    with Loopback(Curious(), keep=False) as server:
        for n in (2, targets):
            run = folder / f"cpu-{n}"
            url = server.url("openai")
            fixtures.make(run, index, fixtures.targets(n), explainer="openai:soak", base_url=url)
            spent.append(nursery.work(run).cpu_s)
            turns.append(sum(e.event == "llm_call" for e in read_events(run)))
            shutil.rmtree(run)
    return 1000 * (spent[1] - spent[0]) / (turns[1] - turns[0])
