"""Budgets, busy servers, and the program's own time.

budget   a run of many targets with a limit of calls sends no more requests than that, and those in
         flight, with good and with malformed answers, and so does `hubel eval` with a judge; the
         server's ledger and the log agree
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
from typing import Any

from ...agent.rescoring.evaluate import evaluate
from ...agent.rescoring.plan import RescoringPlan
from ...agent.rescoring.sources import open_source
from ...agent.runlog.log import read_events
from ...agent.runlog.model_config import BudgetConfig, ModelConfig
from ...agent.runlog.views import connect
from ..loopback import Loopback, Rule, Script
from ..loopback.demo_model import DemoModel
from ..loopback.wires import Provider
from . import fixtures
from .fork_server import EXIT, ForkServer
from .kill_runs import PROVIDERS, SoakModel

CONCURRENCY = 8
ATTEMPTS = 4
"""Times that a run with malformed answers is executed, unless its limit is reached before."""
PATIENCE_S = 1.0
"""Seconds that are waited for a server that is broken on purpose."""


@dataclass(frozen=True)
class BudgetCheck:
    """One limit of calls, and the requests sent under it by the server's ledger and by the log."""

    limit: int
    asked: int
    side_by_side: int = CONCURRENCY
    logged: int | None = None
    """None where it was not compared."""
    what: str = ""

    @property
    def over(self) -> int:
        """Calls beyond the limit and those that may be in flight when it is reached."""
        return max(0, self.asked - self.limit - (self.side_by_side - 1))

    @property
    def unlogged(self) -> int:
        """By how many requests the log differs from the server's ledger."""
        return 0 if self.logged is None else abs(self.asked - self.logged)


def check_budgets(
    folder: Path, index: Path, fork_server: ForkServer, limits: Sequence[int]
) -> list[BudgetCheck]:
    """Execute a run under each limit until it stops: first with good answers, then with malformed ones.

    Explainer, simulator and judge are all asked, and at the end `hubel eval` asks another judge.
    """
    checks = []
    for number, limit in enumerate(limits):
        provider = PROVIDERS[number % len(PROVIDERS)]
        for faults in ("", "any", "any_harmful", "connection"):
            checks.append(_check_run(folder, index, fork_server, provider, limit, faults))
            checks.append(_check_evaluation(folder, index, fork_server, provider, limit, faults))
    return checks


def _rules(faults: str) -> tuple[Rule, ...]:
    """Every second answer is malformed, and every answer takes some time."""
    if not faults:
        return (Rule(delay_s=0.05),)
    names = ("reset", "cut", "truncated") if faults == "connection" else (faults,)
    broken = [Rule(every=2 * (n + 1), fault=name) for n, name in reversed([*enumerate(names)])]
    return (*broken, Rule(delay_s=0.02))


def _check_run(
    folder: Path, index: Path, fork_server: ForkServer, provider: Provider, limit: int, faults: str
) -> BudgetCheck:
    run = folder / f"budget-{limit}-{faults}"
    with Loopback(SoakModel(), script=Script(rules=_rules(faults)), keep=False) as server:
        _make(run, index, server, provider, concurrency=CONCURRENCY)
        status = None
        for _ in range(ATTEMPTS):  # failed targets are tried again, within the same limit
            status = fork_server.work(run, limits={"calls": limit}).status
            if status == EXIT["budget"]:
                break
        if status != EXIT["budget"] and not faults:
            raise RuntimeError(
                f"a run limited to {limit} calls ended with status {status} "
                "before its budget was reached"
            )
        asked = len(server.ledger.entries())
    check = BudgetCheck(limit, asked, logged=requests_in_log(run), what=f"run, {faults or 'good'}")
    shutil.rmtree(run)
    return check


def _check_evaluation(
    folder: Path, index: Path, fork_server: ForkServer, provider: Provider, limit: int, faults: str
) -> BudgetCheck:
    run = folder / f"evaluated-{limit}-{faults}"
    with Loopback(SoakModel(), keep=False) as server:
        _make(run, index, server, provider, simulator="", judge="")
        fork_server.work(run)
        before = requests_in_log(run)
    with Loopback(DemoModel(), script=Script(rules=_rules(faults)), keep=False) as server:
        judge = ModelConfig(f"{provider}:judge", server.url(provider))
        plan = RescoringPlan(
            scorers=("detection", "fuzzing", "llm_simulation"),
            judge=judge,
            budget=BudgetConfig({"calls": float(limit)}),
            patience=PATIENCE_S,
            concurrency=CONCURRENCY,
        )
        evaluate(open_source(str(run), folder), plan)
        asked = len(server.ledger.entries())
    logged = requests_in_log(run) - before
    shutil.rmtree(run)
    return BudgetCheck(limit, asked, logged=logged, what=f"eval, {faults or 'good'}")


def _make(run: Path, index: Path, server: Loopback, provider: Provider, **settings: Any) -> None:
    """A run whose explainer, simulator and judge are on the server."""
    url, model = server.url(provider), f"{provider}:soak"
    models = {"explainer": model, "base_url": url, "simulator": model, "simulator_base_url": url}
    models |= {"judge": model, "judge_base_url": url, "simulator_contexts": 10}
    models |= {"patience": PATIENCE_S} | settings
    if not models["simulator"]:
        models |= {"simulator_base_url": "", "judge_base_url": ""}
    fixtures.make_soak_run(run, index, fixtures.targets(24), **models)


def requests_in_log(folder: Path) -> int:
    """Requests that a run's log says were sent."""
    with connect(folder) as db:
        query = "select coalesce(sum(calls), 0)::int from llm_requests"
        return int((db.execute(query).fetchone() or (0,))[0])


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
