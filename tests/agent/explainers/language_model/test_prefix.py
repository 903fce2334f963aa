"""What every request begins with, instructions and tools, in tokens of a real vocabulary: an
instrument more must not eat what an investigation may say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.llm.conversation import Message, Request, ToolResults, UserMessage
from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.run.replay import replay
from hubel.bench.loopback import Loopback
from hubel.tools.corpus import read_corpus
from hubel.tools.index import build_index
from hubel.tools.subject.subject import Subject
from tests.agent.explainers.language_model.test_economy import PROMPT_TOKENS, one_by_one
from tests.support.configs import run_config
from tests.support.language_model_runs import RunModel
from tests.support.long_investigation import LongInvestigation
from tests.support.scripted_model import ScriptedModel, diligent

PREFIX_TOKENS = 3400
"""Each request carries it, read from the cache: at 3,400 a dozen requests are 41,000 of the 60,000."""
DEAREST_TOKENS = 42_000
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
    assert sum(spent) <= DEAREST_TOKENS


LONG_TOKENS = 60_000
"""Prompt tokens of a whole investigation. Eleven requests had 84,000 when every turn was sent in full."""


@pytest.mark.slow
@pytest.mark.subject
def test_a_long_investigation_of_a_real_unit_stays_within_its_tokens(
    tmp_path: Path, subject: Subject
) -> None:
    index = tmp_path / "index"
    build_index(subject, read_corpus("lee-news"), index, layers=[20], max_tokens=4_000, store="all")
    config = run_config(
        targets=["mlp.20.977"], index=str(index), explainer="openai:test", competitor=True, rounds=6
    )
    folder, model = tmp_path / "run", LongInvestigation()
    make_run(folder, resolve(config))
    assert execute_run(folder, subject=subject, model=model).done == 1
    assert len(model.requests) >= 10
    texts = [
        [r.system, *(json.dumps(t) for t in r.to_json()["tools"]), *map(spoken, r.messages)]
        for r in model.requests
    ]
    assert sum(tokens(subject, text) for request in texts for text in request) <= LONG_TOKENS
    assert replay(folder).bitwise


def tokens_sent(subject: Subject, request: Request) -> int:
    schemas = [json.dumps(tool) for tool in request.to_json()["tools"]]
    texts = [request.system, *schemas, *map(spoken, request.messages)]
    return sum(tokens(subject, text) for text in texts)


def spoken(message: Message) -> str:
    if isinstance(message, UserMessage):
        return message.text
    if isinstance(message, ToolResults):
        return "\n".join(result.text for result in message.results)
    return "\n".join([message.reply.text, *(c.name + c.raw for c in message.reply.calls)])
