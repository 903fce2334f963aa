"""A run's simulator and judge: paid once, counted separately, retried; words alone need a simulator."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.cli.confirm_cost import confirm_cost
from hubel.agent.cli.targets_table import summary
from hubel.agent.llm.conversation import Reply, Request, TokenUsage, UserMessage
from hubel.agent.run.preflight import check_model, estimated_usd
from hubel.agent.run.replay import replay
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.model_config import BudgetConfig
from hubel.agent.runlog.verdict_score import verdict_score
from hubel.agent.runlog.views import connect, target_rows
from hubel.bench.loopback import Loopback, Rule, Script
from hubel.tools.errors import UsageError
from tests.support.configs import changed, run_config
from tests.support.language_model_runs import RunModel
from tests.support.scripted_model import ScriptedModel, diligent

_ASKED = re.compile(r"^(\d+\.\d+) (\".*\")$", re.MULTILINE)
_COUNT = re.compile(r"1 to (\d+)\.\s*$")


class Reads:
    """Predicts by the token's length; says yes to every window."""

    name = "openai:reader"

    def reply(self, request: Request) -> Reply:
        (message,) = request.messages
        assert isinstance(message, UserMessage)
        if count := _COUNT.search(message.text):
            answer = "\n".join(f"{n}: 1" for n in range(1, int(count[1]) + 1))
        else:
            answer = "\n".join(
                f"{n} {token} {len(json.loads(token))}" for n, token in _ASKED.findall(message.text)
            )
        return Reply(answer, usage=TokenUsage(500, 100), model="reader")


def in_words(number: int, request: Request) -> Reply:
    """`diligent`, whose hypotheses have no predicate."""
    reply = diligent(number, request)
    return replace(
        reply, calls=tuple(replace(c, arguments=_without(c.arguments)) for c in reply.calls)
    )


def _without(arguments: dict[str, Any] | None) -> dict[str, Any] | None:
    listed = (arguments or {}).get("hypotheses")
    if not listed:
        return arguments
    return {"hypotheses": [{k: v for k, v in h.items() if k != "predicate"} for h in listed]}


def server(*rules: Rule) -> Loopback:
    return Loopback(Reads(), script=Script(models=("reader",), rules=rules))


def reading(server: Loopback, **settings: Any) -> dict[str, Any]:
    where = server.url("openai")
    found = {"simulator": "openai:reader", "simulator_base_url": where, "simulator_contexts": 12}
    return found | {"judge": "openai:reader", "judge_base_url": where, "patience": 1.0} | settings


@pytest.mark.slow
def test_the_sentence_is_scored_apart_and_counted_apart(run_model: RunModel) -> None:
    with server() as readers:
        price = {"input": 1.0, "output": 2.0}
        folder, result = run_model(
            ScriptedModel(diligent), **reading(readers, simulator_price=price, judge_price=price)
        )
        requests = len(readers.bodies)
    assert (result.done, result.failed_scores) == (1, 0)
    (row,) = target_rows(folder)
    named = {(s["scorer"], s["text"]) for s in row["scores"] if s["split"] == "holdout"}
    assert {
        ("simulation", "random"),
        ("llm_simulation", "random"),
        ("detection", "top_and_random"),
    } <= named
    assert row["reading_calls"] == requests
    assert row["reading_usd"] == pytest.approx(
        sum(b["usd"] for b in _calls(folder) if b["role"] != "explainer")
    )
    assert row["calls"] == 6
    assert verdict_score(row) is not None
    assert verdict_score(row)["scorer"] == "simulation"  # type: ignore[index]
    assert f"simulator and judge: {requests} calls" in summary([row])
    assert replay(folder).bitwise


def _calls(folder: Path) -> list[dict[str, Any]]:
    log = RunLog(folder, writable=False)
    return list(log.all("llm_call", "mlp.0.0").values())


@pytest.mark.slow
def test_without_a_predicate_the_verdict_is_the_simulators(run_model: RunModel) -> None:
    with server() as readers:
        folder, result = run_model(ScriptedModel(in_words), **reading(readers, judge=""))
    assert result.done == 1
    (row,) = target_rows(folder)
    assert (row["explanation"], row["predicate"]) == ('Fires on "the".', None)
    assert row["verdict"] in ("kept", "rejected", "inconclusive")
    assert row["p"] is not None
    assert {s["scorer"] for s in row["scores"]} == {"llm_simulation"}
    assert verdict_score(row)["low"] is not None  # type: ignore[index]
    again = replay(folder)
    assert again.bitwise
    with connect(folder) as db:
        (roles,) = db.execute("select list_sort(list(distinct role)) from llm_calls").fetchall()
    assert roles[0] == ["explainer", "simulator"]


def test_without_a_simulator_words_alone_win_nothing(run_model: RunModel) -> None:
    folder, result = run_model(ScriptedModel(in_words))
    (row,) = target_rows(folder)
    assert (result.done, row["explanation"], row["verdict"]) == (1, None, "inconclusive")


GARBAGE = Rule(containing="tokens, one a line", text="I would rather not.")


@pytest.mark.slow
def test_a_reader_that_writes_garbage_is_a_failed_score_which_is_asked_for_again(
    run_model: RunModel,
) -> None:
    with server(GARBAGE) as readers:
        settings = reading(readers)
        folder, result = run_model(ScriptedModel(diligent), **settings)
        port = readers.url("openai").rpartition(":")[2].partition("/")[0]
    assert (result.done, result.failed_scores) == (1, 1)
    (row,) = target_rows(folder)
    assert row["verdict"] in ("kept", "rejected", "inconclusive")
    assert row["failed_scores"] == 1
    assert "llm_simulation" not in {s["scorer"] for s in row["scores"]}
    with Loopback(Reads(), port=int(port), script=Script(models=("reader",))):
        _, result = run_model(ScriptedModel(diligent))
    assert result.failed_scores == 0
    (row,) = target_rows(folder)
    assert (row["failed_scores"], "llm_simulation" in {s["scorer"] for s in row["scores"]}) == (
        0,
        True,
    )
    assert replay(folder).bitwise


def test_garbage_scores_nothing_of_an_explanation_in_words(run_model: RunModel) -> None:
    with server(GARBAGE) as readers:
        folder, _ = run_model(ScriptedModel(in_words), **reading(readers, judge=""))
    (row,) = target_rows(folder)
    assert [score["scorer"] for score in row["scores"]] == ["list"], "which explains nothing"
    assert row["verdict"] in (None, "inconclusive")


def test_a_budget_counts_the_readers_too(run_model: RunModel) -> None:
    with server() as readers:
        model = ScriptedModel(diligent)
        _, result = run_model(model, **reading(readers, budget={"calls": 8.0}))
        assert result.pending == 1
        assert "8 of 8 calls" in result.budget
        assert len(model.requests) + len(readers.bodies) == 8
        _, result = run_model(model, limits=BudgetConfig(run={"calls": 100.0}))
        assert result.done == 1
        assert len(model.requests) == 6


def test_readers_are_checked_and_priced_before_anything_is_loaded() -> None:
    config = run_config(index="i", targets=["mlp.0.0"], simulator="cheap")
    with pytest.raises(UsageError, match="is not a language model"):
        check_model(config)
    with pytest.raises(UsageError, match="set OPENAI_API_KEY"):
        check_model(changed(config, simulator="openai:cheap"))
    with pytest.raises(UsageError, match="--simulator-price"):
        check_model(changed(config, simulator="openai:cheap", budget={"usd": 1.0}))


def test_the_estimate_counts_the_readers(capsys: pytest.CaptureFixture[str]) -> None:
    import argparse

    price = {"input": 1.0, "output": 1.0}
    config = run_config(
        index="i", targets=["mlp.0.0"] * 10, simulator="openai:cheap", simulator_price=price
    )
    confirm_cost(
        len(config.targets),
        estimated_usd(config),
        config.budget,
        argparse.Namespace(yes=False, quiet=False),
    )
    assert "$0.45" in capsys.readouterr().err  # 10 targets, 30 contexts, 1,500 tokens each
