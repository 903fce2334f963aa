"""Limits of a run and of its targets, in every unit and with the readers counted, are passed by what is in flight."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hubel.agent.llm.budget import UNITS
from hubel.agent.llm.conversation import Reply, Request
from hubel.agent.llm.paid_calls import cost_of
from hubel.agent.runlog.log import RunLog
from hubel.bench.loopback import Rule
from tests.agent.run.test_readers import reading, server
from tests.support.language_model_runs import RunModel
from tests.support.scripted_model import ScriptedModel, diligent

SIDE_BY_SIDE = 3
TARGETS = ["mlp.0.0", "mlp.0.1", "mlp.1.0", "mlp.1.1", "mlp.2.0", "mlp.2.1"]
ANSWER_S = 0.005
PRICE = {"input": 1000.0, "output": 1000.0}
"""A thousandth of a dollar a token: 0.12 a reply of the explainer, 0.6 one of a reader."""
LIMITS = {
    "run": {"calls": 25.0, "tokens": 5000.0, "usd": 5.0, "seconds": 25 * ANSWER_S},
    "target": {"calls": 8.0, "tokens": 1500.0, "usd": 1.5, "seconds": 4 * ANSWER_S},
}
"""Each is reached by every run or target, and all but those in seconds while readers are asked: a
target takes six replies of the explainer, 720 tokens, and a dozen of readers."""


def unhurried(number: int, request: Request) -> Reply:
    """`diligent`, who takes some time."""
    time.sleep(ANSWER_S)
    return diligent(number, request)


@pytest.mark.slow
@pytest.mark.parametrize("unit", list(UNITS))
@pytest.mark.parametrize("level", list(LIMITS))
def test_no_limit_is_passed_by_more_than_the_calls_in_flight(
    run_model: RunModel, level: str, unit: str
) -> None:
    limit = LIMITS[level][unit]
    budget = {"budget" if level == "run" else "target_budget": {unit: limit}}
    with server(Rule(delay_s=ANSWER_S)) as readers:
        prices = {"price": PRICE, "simulator_price": PRICE, "judge_price": PRICE}
        settings = reading(readers, concurrency=SIDE_BY_SIDE, **prices, **budget)
        folder, result = run_model(ScriptedModel(unhurried), targets=TARGETS, **settings)
    assert UNITS[unit] in result.budget
    spent = {target: [call[unit] for call in _calls(folder, target)] for target in TARGETS}
    if level == "run":
        _check(
            [amount for calls in spent.values() for amount in calls], limit, in_flight=SIDE_BY_SIDE
        )
        assert result.pending > 0
    else:
        for calls in spent.values():
            _check(calls, limit, in_flight=1)
        assert result.pending == len(TARGETS)
    if unit != "seconds":
        assert _roles(folder) > {"explainer"}


def _check(spent: list[float], limit: float, in_flight: int) -> None:
    """It was reached; and when the last call was admitted, less than the limit was spent, but for those under way."""
    rounding = 1e-9 * limit  # they are added in another order here
    assert limit - rounding <= sum(spent) < limit + in_flight * max(spent) + rounding


def _calls(folder: Path, target: str) -> list[dict[str, float]]:
    log = RunLog(folder, writable=False)
    return [cost_of(row) for row in log.all("llm_call", target).values()]


def _roles(folder: Path) -> set[str]:
    log = RunLog(folder, writable=False)
    return {row["role"] for target in TARGETS for row in log.all("llm_call", target).values()}
