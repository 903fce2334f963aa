"""What every request begins with, instructions and tools, in tokens of a real vocabulary: an
instrument more must not eat what an investigation may say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from hubel.bench.loopback import Loopback
from hubel.tools.subject.subject import Subject
from tests.agent.explainers.language_model.test_economy import PROMPT_TOKENS, one_by_one
from tests.support.language_model_runs import RunModel
from tests.support.scripted_model import ScriptedModel, diligent

PREFIX_TOKENS = 2600
"""Each request carries it, read from the cache: at 2,600 a dozen requests would be over 31,000 of the 40,000."""
DEAREST_TOKENS = 39_800
"""Of the dearest way to make six experiments, with room for a real unit's evidence, which may be longer."""


def tokens(subject: Subject, value: Any) -> int:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return len(subject.tokenizer(text, add_special_tokens=False)["input_ids"])


def said(message: Mapping[str, Any]) -> str:
    """What a message says, without the wire's own brackets and quotes."""
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    return "\n".join(
        [message.get("content") or "", *(call["name"] + call["arguments"] for call in calls)]
    )


def prefix(body: Mapping[str, Any]) -> list[Any]:
    return [body["tools"], next(m for m in body["messages"] if m["role"] == "system")]


@pytest.mark.slow
@pytest.mark.subject
def test_the_prefix_and_an_investigation_stay_within_their_tokens(
    run_model: RunModel, subject: Subject
) -> None:
    with Loopback(ScriptedModel(diligent)) as server:
        run_model(None, base_url=server.url("openai"), competitor=True)
    bodies = [body for body in server.bodies if body.get("tools")]
    assert len(bodies) == 6
    assert max(tokens(subject, prefix(body)) for body in bodies) <= PREFIX_TOKENS
    assert (
        sum(tokens(subject, [body["tools"], body["messages"]]) for body in bodies) <= PROMPT_TOKENS
    )


@pytest.mark.subject
def test_the_dearest_way_of_six_experiments_stays_within_its_tokens(
    run_model: RunModel, subject: Subject
) -> None:
    with Loopback(ScriptedModel(one_by_one)) as server:
        run_model(None, base_url=server.url("openai"), competitor=True)
    assert len(server.bodies) == 10
    spent = [
        tokens(subject, b["tools"]) + sum(tokens(subject, said(m)) for m in b["messages"])
        for b in server.bodies
    ]
    assert sum(spent) <= DEAREST_TOKENS <= PROMPT_TOKENS
