"""What an investigation costs in tokens: older turns are shortened, and a limit is kept."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest

from hubel.agent.explainers.language_model import dialogue
from hubel.agent.llm.conversation import Reply, Request
from hubel.agent.run.replay import replay
from hubel.agent.runlog.log import RunLog, canonical
from hubel.agent.runlog.views import target_rows
from hubel.bench.loopback import Loopback
from tests.support.language_model_runs import RunModel
from tests.support.scripted_model import (
    HYPOTHESES,
    ScriptedModel,
    diligent,
    experiments,
    is_second_look,
    reply,
    turn_of,
)

PROMPT_TOKENS, CACHED_SHARE = 40_000, 0.6


def one_by_one(number: int, request: Request) -> Reply:
    """Six experiments, each in a reply of its own: the dearest way to make them."""
    if is_second_look(request):
        return reply(("challenge", {"experiments": quiet(9)}))
    turn = turn_of(request)
    if turn == 0:
        return reply(("propose", {"hypotheses": HYPOTHESES}))
    if turn <= 6:
        planned = (
            experiments("h1", 1, f"told {turn}")
            if turn % 2
            else [one | {"hypothesis": "h1"} for one in quiet(turn)]
        )
        return reply(("experiment", {"experiments": planned}))
    return reply(("conclude", {"hypothesis": "h1"}))


def quiet(n: int) -> list[dict[str, Any]]:
    """Predicts that nothing fires, and is right."""
    return [
        {"text": f"red {n} blue", "predicts": "within", "low": -1e6, "high": 0.2, "focus": "blue"}
    ]


def messages(request: Request) -> list[str]:
    return [canonical(m) for m in request.to_json()["messages"]]


def main_requests(model: ScriptedModel) -> list[Request]:
    return [request for request in model.requests if not is_second_look(request)]


@pytest.mark.slow
def test_only_the_last_turn_is_sent_in_full_and_all_before_it_stays_as_it_is(
    run_model: RunModel,
) -> None:
    model = ScriptedModel(diligent)
    run_model(model)
    main = main_requests(model)
    assert len(main) == 5
    for before, after in itertools.pairwise(main):
        kept = [
            m
            for m in messages(before)
            if "reply" not in json.loads(m) and "results" not in json.loads(m)
        ]
        assert messages(after)[: len(kept)] == kept
    last = messages(main[-1])
    assert sum("reply" in json.loads(m) for m in last) == 1
    assert len({(r.system, canonical(r.to_json()["tools"])) for r in main}) == 1


@pytest.mark.slow
def test_a_shortened_turn_keeps_every_id_and_what_came_of_it(run_model: RunModel) -> None:
    model = ScriptedModel(diligent)
    folder, _ = run_model(model)
    ledger = "\n".join(
        m["text"] for m in main_requests(model)[-1].to_json()["messages"] if "text" in m
    )
    for number in range(1, 13):
        assert re.search(rf"\be{number}\b", ledger)
    for number in (5, 6, 7, 8):
        assert f"[r{number}] " in ledger
    assert "r 0.0" in ledger or "r -0.0" in ledger
    shortened = [
        row["request"]["shortened"]
        for row in RunLog(folder, writable=False).all("llm_call", "mlp.0.0").values()
    ]
    assert [bool(text) for text in shortened] == [False, False, True, True, False, True]


@pytest.mark.slow
def test_an_investigation_ends_before_it_has_more_prompt_tokens_than_it_may(
    run_model: RunModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogue, "PROMPT_TOKENS", 12_000)
    with Loopback(ScriptedModel(one_by_one)) as server:
        folder, result = run_model(None, base_url=server.url("openai"))
    assert result.done == 1
    row = target_rows(folder)[0]
    assert 6_000 < row["input_tokens"] <= 12_000
    assert replay(folder).bitwise


@pytest.mark.slow
def test_six_experiments_stay_within_the_limit_and_mostly_cached(run_model: RunModel) -> None:
    with Loopback(ScriptedModel(one_by_one)) as server:
        folder, result = run_model(None, base_url=server.url("openai"), competitor=True)
    assert result.done == 1
    row = target_rows(folder)[0]
    assert row["calls"] >= 9
    assert row["input_tokens"] <= PROMPT_TOKENS
    assert row["cached_tokens"] >= CACHED_SHARE * row["input_tokens"]
