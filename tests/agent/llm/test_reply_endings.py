"""Reasoning is removed, a reply that was cut off is not used, and calls get ids, over both wires."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hubel.agent.explainers.language_model.parse_reply import why_unusable
from hubel.agent.llm import Patience, make_model
from hubel.agent.llm.anthropic import _reply as anthropic_reply
from hubel.agent.llm.conversation import Reply, Request, ToolSchema, UserMessage
from hubel.agent.llm.openai import _reply as openai_reply
from hubel.agent.runlog.model_config import ModelConfig
from hubel.bench.loopback import Loopback, Rule, Script
from tests.support.paying import Everything

PROVIDERS = pytest.mark.parametrize("provider", ["openai", "anthropic"])
DRAFT = '```json\n{"tool": "conclude", "arguments": {"hypothesis": "h1"}}\n```'
CALL = '```json\n{"tool": "propose", "arguments": {"hypotheses": []}}\n```'
TOOLS = tuple(ToolSchema(name, name, {"type": "object"}) for name in ("propose", "conclude"))
QUESTION = Request("system", (UserMessage("what?"),), TOOLS)


def replied(provider: str, text: str, stop: str = "end", tools: str = "text") -> Reply:
    script = Script(rules=(Rule(text=text, stop=stop),))
    with Loopback(Everything(), script=script) as server:
        config = ModelConfig(f"{provider}:m", server.url(provider), tools=tools)
        return make_model(config, Patience(1.0)).reply(QUESTION)


@PROVIDERS
def test_a_call_drafted_while_thinking_is_not_made(provider: str) -> None:
    reply = replied(provider, f"<think>I could\n{DRAFT}\nbut no.</think>\nSo:\n{CALL}")
    assert [call.name for call in reply.calls] == ["propose"]
    assert not why_unusable(reply)
    assert "think" not in json.dumps(reply.native)


@PROVIDERS
def test_a_call_drafted_in_unfinished_thinking_is_no_call(provider: str) -> None:
    reply = replied(provider, f"<think>I could\n{DRAFT}\nor")
    assert (reply.calls, reply.stop) == ((), "length")
    assert "cut off" in why_unusable(reply)


@PROVIDERS
def test_a_reply_that_was_cut_off_makes_no_call(provider: str) -> None:
    assert "cut off" in why_unusable(replied(provider, CALL, stop="length"))


def openai_body(**fields: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "yes"} | fields
    return {"choices": [{"message": message, "finish_reason": fields.get("ends", "stop")}]}


@pytest.mark.parametrize(
    ("word", "stop"),
    [
        ("stop", "end"),
        ("STOP", "end"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("error", "length"),
        ("content_filter", "refused"),
        ("SAFETY", "refused"),
        ("because", "other"),
        (None, "other"),
    ],
)
def test_reasons_to_stop_are_known_by_many_words(word: str | None, stop: str) -> None:
    assert openai_reply(openai_body(ends=word)).stop == stop


def test_calls_without_ids_get_their_own_and_can_be_answered() -> None:
    function = {"name": "propose", "arguments": "{}"}
    calls = [
        {"function": function},
        {"id": None, "function": function},
        {"id": "a", "function": function},
    ]
    reply = openai_reply(openai_body(tool_calls=[*calls, calls[2]]), turn=3)
    assert [call.id for call in reply.calls] == ["call03000", "call03001", "a", "call03003"]
    assert [call["id"] for call in reply.native["tool_calls"]] == [call.id for call in reply.calls]
    assert not why_unusable(reply)
    block = {"type": "tool_use", "name": "propose", "input": {}}
    reply = anthropic_reply(
        {"content": [block, block | {"id": None}], "stop_reason": "tool_use"}, turn=1
    )
    assert [call.id for call in reply.calls] == ["call01000", "call01001"]
    assert [block["id"] for block in reply.native] == ["call01000", "call01001"]


@PROVIDERS
def test_a_reply_of_exactly_its_limit_was_cut_off(provider: str) -> None:
    """Some servers say "stop" although it was cut off."""
    room = 64 + (16_384 if provider == "anthropic" else 0)  # tokens of 4 characters on this server
    script = Script(rules=(Rule(text="word" * room),))
    with Loopback(Everything(), script=script) as server:
        config = ModelConfig(f"{provider}:m", server.url(provider))
        request = Request("system", (UserMessage("what?"),), max_tokens=64)
        assert make_model(config, Patience(1.0)).reply(request).stop == "length"
