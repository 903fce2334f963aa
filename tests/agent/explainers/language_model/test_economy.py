"""What an investigation costs in tokens: messages are only ever appended, and six experiments stay within the limit."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from hubel.agent.llm.conversation import Reply, Request
from hubel.agent.runlog.log import canonical
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


@pytest.mark.slow
def test_messages_are_only_ever_appended(run_model: RunModel) -> None:
    model = ScriptedModel(diligent)
    run_model(model)
    main = [
        [canonical(m) for m in r.to_json()["messages"]]
        for r in model.requests
        if not is_second_look(r)
    ]
    assert len(main) == 5
    for before, after in itertools.pairwise(main):
        assert after[: len(before)] == before
    assert (
        len(
            {
                (r.system, canonical(r.to_json()["tools"]))
                for r in model.requests
                if not is_second_look(r)
            }
        )
        == 1
    )


@pytest.mark.slow
def test_six_experiments_stay_within_the_limit_and_mostly_cached(run_model: RunModel) -> None:
    with Loopback(ScriptedModel(one_by_one)) as server:
        folder, result = run_model(None, base_url=server.url("openai"), competitor=True)
    assert result.done == 1
    row = target_rows(folder)[0]
    assert row["calls"] >= 9
    assert row["input_tokens"] <= PROMPT_TOKENS
    assert row["cached_tokens"] >= CACHED_SHARE * row["input_tokens"]
