"""A conversation is kept between moves; one that is rebuilt from the log says the same to the byte."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from hubel.agent.explainers.language_model import explainer, parse_reply
from hubel.agent.llm.conversation import Reply, Request
from hubel.agent.runlog.log import canonical
from tests.support.language_model_runs import RunModel
from tests.support.scripted_model import ScriptedModel, diligent, reply


def stumbling(number: int, request: Request) -> Reply:
    """`diligent`, whose every third reply cannot be used."""
    return reply(text="I would rather talk.") if number % 3 == 0 else diligent(number, request)


def requests(run_model: RunModel, script: Any) -> list[str]:
    model = ScriptedModel(script)
    folder, result = run_model(model, targets=["mlp.0.0"], competitor=True)
    assert result.done == 1
    shutil.rmtree(folder)
    return [canonical(request.to_json()) for request in model.requests]


@pytest.mark.slow
@pytest.mark.parametrize("script", [diligent, stumbling])
def test_a_conversation_that_is_rebuilt_at_every_move_asks_the_same(
    run_model: RunModel, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = requests(run_model, script)
    monkeypatch.setattr(explainer, "MAX_OPEN", 0)
    assert requests(run_model, script) == kept


def test_each_reply_is_parsed_once(run_model: RunModel, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    original = parse_reply.parse_reply

    def counted(journaled: Any, *arguments: Any) -> Any:
        parsed.append(journaled.key)
        return original(journaled, *arguments)

    monkeypatch.setattr(parse_reply, "parse_reply", counted)
    assert len(requests(run_model, diligent)) == len(parsed) == len(set(parsed))
