"""The same investigation over both wires: the providers' own SDKs against a server on this machine."""

from __future__ import annotations

import argparse
from dataclasses import replace

import pytest

from hubel.agent.cli.confirm_cost import confirm_cost
from hubel.agent.llm import preflight
from hubel.agent.llm.prices import read_price
from hubel.agent.run.preflight import check_model, estimated_usd
from hubel.agent.run.replay import replay
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.model_config import BudgetConfig, ModelConfig
from hubel.agent.runlog.views import target_rows
from hubel.bench.loopback import Loopback
from hubel.bench.loopback.demo_model import DemoModel
from hubel.tools.errors import UnavailableError, UsageError
from tests.support.configs import changed, run_config
from tests.support.language_model_runs import RunModel
from tests.support.scripted_model import ScriptedModel, diligent


@pytest.mark.slow
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_an_investigation_over_the_wire(run_model: RunModel, provider: str) -> None:
    with Loopback(ScriptedModel(diligent)) as server:
        folder, result = run_model(
            None, explainer=f"{provider}:test", base_url=server.url(provider)
        )
    assert result.done == 1
    row = target_rows(folder)[0]
    assert (row["explanation"], row["calls"], row["usd"]) == ('Fires on "the".', 6, None)
    assert row["input_tokens"] > row["cached_tokens"] > 0.6 * row["input_tokens"]
    assert len(RunLog(folder, writable=False).all("outcome", "mlp.0.0")) == 16
    assert replay(folder).bitwise


@pytest.mark.slow
def test_the_beginner_ends_every_investigation(run_model: RunModel) -> None:
    with Loopback(DemoModel()) as server:
        targets = ["mlp.0.0", "mlp.0.1", "mlp.2.3-", "head.1.0"]
        folder, result = run_model(None, targets=targets, base_url=server.url("openai"))
    assert result.done == 4
    log = RunLog(folder, writable=False)
    assert sum(len(log.all("outcome", target)) for target in targets) >= 12
    assert {row["verdict"] for row in target_rows(folder)} <= {"kept", "rejected", "inconclusive"}
    assert replay(folder).bitwise


@pytest.mark.slow
def test_a_limit_of_calls_is_held_and_a_larger_one_goes_on(run_model: RunModel) -> None:
    model = ScriptedModel(diligent)
    _, result = run_model(
        model, targets=["mlp.0.0", "mlp.0.1"], budget={"calls": 4.0}, concurrency=1
    )
    assert (result.done, result.pending, len(model.requests)) == (0, 2, 4)
    assert "4 of 4 calls" in result.budget
    again = ScriptedModel(diligent)
    _, result = run_model(again, limits=BudgetConfig(run={"calls": 12.0}))
    assert (result.done, len(again.requests), result.budget) == (2, 8, "")


def test_a_missing_key_server_or_price_is_found_out_for_free(run_model: RunModel) -> None:
    with pytest.raises(UsageError, match="set OPENAI_API_KEY"):
        preflight(ModelConfig("openai:gpt"))
    with pytest.raises(UsageError, match="set ANTHROPIC_API_KEY"):
        preflight(ModelConfig("anthropic:claude"))
    with pytest.raises(UnavailableError, match="no server answers at http://127"):
        preflight(ModelConfig("openai:gpt", base_url="http://127.0.0.1:9/v1"))
    with pytest.raises(UsageError, match="is not a language model"):
        preflight(ModelConfig("openai:"))
    with pytest.raises(UsageError, match="without its price"):
        check_model(run_config(index="i", targets=[], explainer="openai:x", budget={"usd": 5.0}))


def test_dollars_follow_from_a_price_and_are_null_without(run_model: RunModel) -> None:
    price = {"input": 3.0, "output": 15.0, "cache_read": 0.3}
    folder, _ = run_model(ScriptedModel(diligent), price=price, budget={"usd": 1.0})
    assert target_rows(folder)[0]["usd"] == pytest.approx(
        6 * (40 * 3.0 + 60 * 0.3 + 20 * 15.0) / 1e6
    )
    assert read_price("input=3, output=15,cache_read=0.3") == price
    assert read_price("") == {}
    for wrong in (
        "3",
        "input=3",
        "input=a,output=1",
        "input=1,output=2,tax=3",
        "input=-1,output=2",
    ):
        with pytest.raises(UsageError, match="--price"):
            read_price(wrong)


def test_much_money_is_asked_about_first(
    run_model: RunModel, capsys: pytest.CaptureFixture[str]
) -> None:
    dear = {"input": 3.0, "output": 15.0}
    arguments = argparse.Namespace(yes=False, quiet=False)
    few = run_config(index="i", targets=["mlp.0.0"], explainer="openai:x", price=dear)
    many = replace(few, targets=[f"mlp.0.{i}" for i in range(50)])
    confirm_cost(len(few.targets), estimated_usd(few), few.budget, arguments)
    assert "1 target may cost up to about $0.24" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"about \$12.00; confirm with --yes"):
        confirm_cost(len(many.targets), estimated_usd(many), many.budget, arguments)
    confirm_cost(
        len(many.targets),
        estimated_usd(many),
        many.budget,
        argparse.Namespace(yes=True, quiet=True),
    )
    limited = changed(many, budget={"usd": 0.5})
    confirm_cost(len(limited.targets), estimated_usd(limited), limited.budget, arguments)
