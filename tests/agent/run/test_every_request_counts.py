"""Every request counts when it is sent: the log agrees with the server's ledger, and budgets hold.

No limit is exceeded by more than the calls in flight, whatever comes back.
"""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.llm.budget import UNITS
from hubel.agent.llm.meter import Checks
from hubel.agent.rescoring.evaluate import evaluate
from hubel.agent.rescoring.plan import RescoringPlan
from hubel.agent.rescoring.sources import open_source
from hubel.agent.run.execute import RunResult, execute_run, make_run, resolve
from hubel.agent.run.preflight import check_model
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.model_config import BudgetConfig, ModelConfig
from hubel.agent.runlog.spending import spent_before
from hubel.agent.runlog.views import calls_before_run, target_rows
from hubel.bench.loopback import Loopback, Rule, Script
from hubel.bench.loopback.faults import NAMES
from hubel.tools.errors import BudgetReached
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config
from tests.support.paying import Everything, requests_in_log, requests_on_server

PROVIDERS = ("openai", "anthropic")
TARGETS = ["mlp.0.0", "mlp.0.1", "mlp.1.0", "mlp.1.1"]
SIDE_BY_SIDE = 4
PRICE = {"input": 1000.0, "output": 1000.0}
ANSWERING = [name for name in NAMES if name != "hang"]  # which takes as long as the timeout
SOME = [
    "truncated",
    "cut",
    "reset",
    "half_json",
    "no_choices",
    "no_usage",
    "cut_off",
    "html",
    "counts_are_huge",
]


def serving(*rules: Rule) -> Loopback:
    checks = Rule(containing="This is a test of the connection.")  # are answered well
    return Loopback(Everything(), script=Script(rules=(checks, *rules)), keep=False)


def start(
    folder: Path, index: Path, subject: Subject, server: Loopback, provider: str, **settings: Any
) -> RunResult:
    """A run whose explainer, simulator and judge are all on the server, from its checks to its end."""
    url = server.url(provider)
    model = f"{provider}:everything"
    config = run_config(
        index=str(index),
        targets=TARGETS,
        explainer=model,
        base_url=url,
        simulator=model,
        simulator_base_url=url,
        judge=model,
        judge_base_url=url,
        simulator_contexts=12,
        competitor=False,
        **{"max_contexts": 300, "concurrency": SIDE_BY_SIDE, "patience": 0.5, "tools": "auto"}
        | settings,
    )
    checks = Checks()
    make_run(folder, resolve(check_model(config, checks)), checks)
    return execute_run(folder, subject=subject)


def spent(folder: Path, unit: str) -> float:
    """What the log says was spent."""
    return sum(cost[unit] for _, cost in spent_before(RunLog(folder, writable=False), TARGETS))


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_run_without_faults_agrees_with_the_ledger(
    tmp_path: Path, tiny_index: Path, tiny: Subject, provider: str
) -> None:
    folder = tmp_path / "run"
    with serving() as server:
        result = start(folder, tiny_index, tiny, server, provider)
    assert result.done == len(TARGETS)
    assert requests_in_log(folder) == requests_on_server(server)
    rows = target_rows(folder)
    shown = sum(row["calls"] + row["reading_calls"] for row in rows) + calls_before_run(folder)
    assert shown == requests_on_server(server)
    assert calls_before_run(folder) == 3


@pytest.mark.slow
@pytest.mark.parametrize(("provider", "fault"), list(zip(cycle(PROVIDERS), SOME, strict=False)))
def test_no_limit_of_calls_is_passed_whatever_comes_back(
    tmp_path: Path, tiny_index: Path, tiny: Subject, provider: str, fault: str
) -> None:
    folder, limit = tmp_path / "run", 9
    with serving(Rule(every=2, fault=fault)) as server:
        result = start(folder, tiny_index, tiny, server, provider, budget={"calls": limit})
        if result.failed:  # failed targets are tried again within the same limit
            result = execute_run(folder, subject=tiny)
    assert requests_on_server(server) <= limit
    assert requests_in_log(folder) == requests_on_server(server)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unit", "fault"),
    [("tokens", "no_usage"), ("usd", "no_choices"), ("tokens", "cut_off"), ("usd", "truncated")],
)
def test_replies_without_a_count_cost_an_estimate(
    tmp_path: Path, tiny_index: Path, tiny: Subject, unit: str, fault: str
) -> None:
    folder = tmp_path / "run"
    prices = {"price": PRICE, "simulator_price": PRICE, "judge_price": PRICE}
    with serving(Rule(containing="tools", fault=fault)) as server:
        result = start(
            folder,
            tiny_index,
            tiny,
            server,
            "openai",
            budget={unit: 30_000 if unit == "tokens" else 30},
            **prices,
        )
        for _ in range(20):
            if result.budget:
                break
            result = execute_run(folder, subject=tiny)  # tries failed targets again
        asked = requests_on_server(server)
    assert UNITS[unit] in result.budget
    assert asked < 30 + SIDE_BY_SIDE
    assert spent(folder, unit) >= 30
    estimated = sum(row["estimated_calls"] for row in target_rows(folder))
    assert (estimated > 0) == (fault in ("no_usage", "truncated"))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["", "truncated", "no_choices", "no_usage", "cut_off"])
def test_an_evaluation_ends_at_its_limit(
    tmp_path: Path, tiny_index: Path, tiny: Subject, fault: str
) -> None:
    folder = tmp_path / "run"
    with serving() as server:
        start(folder, tiny_index, tiny, server, "openai")
    before = requests_in_log(folder)
    with serving(*([Rule(fault=fault)] if fault else [])) as server:
        judge = ModelConfig("openai:everything", server.url("openai"))
        plan = RescoringPlan(
            scorers=("detection", "fuzzing"),
            judge=judge,
            budget=BudgetConfig({"calls": 5.0}),
            patience=60.0,
        )
        evaluation = evaluate(open_source(str(folder), folder.parent), plan, subject=tiny)
        assert "5 of 5 calls" in evaluation.budget or evaluation.failed
        assert 4 <= requests_on_server(server) <= 5
        assert requests_in_log(folder) - before == requests_on_server(server)


def test_checks_before_a_run_count_within_its_budget(
    tmp_path: Path, tiny_index: Path, tiny: Subject
) -> None:
    with serving() as server, pytest.raises(BudgetReached, match="2 of 2 calls"):
        start(tmp_path / "run", tiny_index, tiny, server, "openai", budget={"calls": 2.0})
    assert requests_on_server(server) == 2


@pytest.mark.slow
def test_a_killed_run_counts_what_was_in_flight(
    tmp_path: Path, tiny_index: Path, tiny: Subject
) -> None:
    folder = tmp_path / "run"
    with serving() as server:
        start(folder, tiny_index, tiny, server, "openai", budget={"calls": 6.0}, price=PRICE)
    log = RunLog(folder, writable=False)
    row = next(row for target in TARGETS for row in log.all("llm_request", target).values())
    with_death = RunLog(folder)
    with_death.write(
        "llm_request",
        row | {"number": 9, "outcome": "in flight", "estimated": True},
        target=TARGETS[0],
        id="x/9",
    )
    with_death.close()
    calls = spent(folder, "calls")
    result = execute_run(folder, subject=tiny, limits=BudgetConfig({"calls": calls}))
    assert f"{calls:.0f} of {calls:.0f} calls" in result.budget


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_log_agrees_with_the_ledger_under_every_fault(
    tmp_path: Path, tiny_index: Path, tiny: Subject, provider: str
) -> None:
    """Each request gets the next of all faults, until 400 were sent; failed targets are tried again."""
    folder, limit = tmp_path / "run", 400.0
    rules = [Rule(at=(number,), fault=name) for number, name in enumerate(ANSWERING * 4, 4)]
    with serving(*rules) as server:
        result = start(folder, tiny_index, tiny, server, provider, budget={"calls": limit})
        for _ in range(30):
            if result.budget or not result.failed:
                break
            result = execute_run(folder, subject=tiny)
        given = {entry.what for entry in server.ledger.entries()}
    assert requests_in_log(folder) == requests_on_server(server) <= limit
    assert len(given) > 60
