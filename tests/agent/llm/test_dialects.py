"""Servers that want requests in another form: each form is learned from one refusal, over both wires."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.llm import Patience, check_explainer, make_model
from hubel.agent.llm.conversation import (
    AssistantMessage,
    Reply,
    Request,
    ToolCall,
    ToolResult,
    ToolResults,
    ToolSchema,
    UserMessage,
)
from hubel.agent.llm.dialect import Dialect
from hubel.agent.llm.errors import ModelError
from hubel.agent.llm.openai import _reply
from hubel.agent.llm.streamed import join_events
from hubel.agent.run.replay import replay
from hubel.agent.runlog.model_config import ModelConfig
from hubel.bench.loopback import Loopback, Rule, Script
from hubel.bench.loopback.dialects import events
from hubel.bench.loopback.wires import TokenCounts, answer_of
from tests.support.language_model_runs import RunModel
from tests.support.paying import requests_in_log
from tests.support.scripted_model import ScriptedModel, diligent

PROVIDERS = pytest.mark.parametrize("provider", ["openai", "anthropic"])
TOOL = ToolSchema("look", "look", {"type": "object"})
CALLS = (ToolCall("a", "look", {"at": "ü"}, '{"at": "ü"}'), ToolCall("b", "look", {}, "{}"))
DIALECTS = {
    "stream": Script(streams_only=True),
    "limit": Script(new_limit_only=True),
    "reasoning_content": Script(reasoning="reasoning_content"),
    "reasoning_details": Script(reasoning="reasoning_details"),
    "all": Script(streams_only=True, new_limit_only=True, reasoning="reasoning"),
}


class Looks:
    name = "openai:looks"

    def reply(self, request: Request) -> Reply:
        if request.tools:
            return Reply("I look.", CALLS, "tools")
        return Reply("a long answer with words")


@PROVIDERS
@pytest.mark.parametrize("script", DIALECTS.values(), ids=list(DIALECTS))
def test_a_conversation_goes_on_in_the_servers_form(provider: str, script: Script) -> None:
    with Loopback(Looks(), script=script) as server:
        model = make_model(ModelConfig(f"{provider}:m", server.url(provider)), Patience(1.0))
        opening = UserMessage("what is there?")
        first = model.reply(Request("system", (opening,), (TOOL,)))
        assert [(call.name, call.arguments) for call in first.calls] == [
            ("look", {"at": "ü"}),
            ("look", {}),
        ]
        assert (first.text, first.stop) == ("I look.", "tools")
        assert first.usage is not None
        assert first.usage.input > 0
        results = ToolResults(tuple(ToolResult(call.id, "a cat") for call in first.calls))
        model.reply(Request("system", (opening, AssistantMessage(first), results), (TOOL,)))
        refused = [entry for entry in server.ledger.entries() if entry.status == 400]
    assert len(refused) <= 2, "each form is learned once"


@PROVIDERS
def test_a_server_that_only_streams_passes_the_check(provider: str) -> None:
    with Loopback(Looks(), script=Script(streams_only=True, new_limit_only=True)) as server:
        config = ModelConfig(f"{provider}:m", server.url(provider), tools="auto")
        assert check_explainer(config).tools == "native"


@pytest.mark.slow
def test_a_run_in_a_dialect_agrees_with_the_ledger(run_model: RunModel) -> None:
    with Loopback(ScriptedModel(diligent), script=DIALECTS["all"]) as server:
        folder, result = run_model(None, base_url=server.url("openai"))
        assert requests_in_log(Path(folder)) == len(server.ledger.entries())
    assert result.done == 1
    assert replay(folder).bitwise


def test_reasoning_is_left_out_where_it_is_refused() -> None:
    dialect, message = Dialect(new_limit=False), {"role": "assistant", "reasoning_content": "hm"}
    sent = dialect.fitted({"messages": [message]}, 10)
    assert not dialect.learn("the temperature is too high", sent)
    assert dialect.learn("messages.1.reasoning_content: extra fields are not permitted", sent)
    assert dialect.fitted({"messages": [message]}, 10)["messages"] == [{"role": "assistant"}]
    assert not dialect.learn("reasoning_content is not permitted", {"messages": []})


@PROVIDERS
def test_a_stream_that_was_cut_short_is_no_reply(provider: str) -> None:
    answer = answer_of(provider, "m", Reply("words", CALLS, "tools"), TokenCounts(10, 5, 0, 0))  # type: ignore[arg-type]
    whole = events(provider, answer)  # type: ignore[arg-type]
    assert join_events(whole) is not None
    assert join_events(whole[: len(whole) // 2]) is None
    assert join_events(b'data: {"error": {"message": "overloaded"}}') == {
        "error": {"message": "overloaded"}
    }
    script = Script(streams_only=True, rules=(Rule(fault="truncated"),))
    with Loopback(Looks(), script=script) as server, pytest.raises(ModelError):
        make_model(ModelConfig(f"{provider}:m", server.url(provider)), Patience(0.1)).reply(
            Request("system", (UserMessage("what?"),))
        )


def stream(*streamed: dict[str, Any]) -> bytes:
    return "\n\n".join(f"data: {json.dumps(event)}" for event in streamed).encode()


def test_odd_values_in_a_stream_are_left_out() -> None:
    pieces = [
        7,
        [7],
        [{"index": [1], "function": {"name": "look", "arguments": 7}}],
        [{"index": [1], "function": {"arguments": "{}"}}],
    ]
    deltas = [{"choices": [{"delta": {"tool_calls": piece}}]} for piece in pieces]
    body = join_events(stream(*deltas, {"choices": [{"finish_reason": "stop"}]}))
    assert body is not None
    (call,) = body["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "look", "arguments": "{}"}

    block = {"index": [1], "content_block": {"type": "text", "text": 5}}
    delta = {"index": [1], "delta": {"text": "a", "partial_json": 5}}
    body = join_events(
        stream(
            {"type": "message_start", "message": {"usage": [1]}},
            {"type": "content_block_start"} | block,
            {"type": "content_block_delta"} | delta,
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": "many"},
        )
    )
    assert body is not None
    assert (body["content"], body["usage"]) == ([{"type": "text", "text": "a"}], {})


def test_calls_in_a_stream_without_indexes_stay_apart() -> None:
    functions = [
        {"name": "look", "arguments": "{"},
        {"arguments": "}"},
        {"name": "tell", "arguments": "{}"},
    ]
    for extra in ({}, {"index": None}):
        pieces = [{"function": function} | extra for function in functions]
        deltas = [{"choices": [{"delta": {"tool_calls": [piece]}}]} for piece in pieces]
        body = join_events(stream(*deltas, {"choices": [{"finish_reason": "stop"}]}))
        assert body is not None
        calls = [call["function"] for call in body["choices"][0]["message"]["tool_calls"]]
        assert calls == [
            {"name": "look", "arguments": "{}"},
            {"name": "tell", "arguments": "{}"},
        ]


def test_an_answer_after_the_end_of_the_reasoning_is_found() -> None:
    message = {"content": None, "reasoning_content": "<think>1: 1</think>1: 0"}
    assert _reply({"choices": [{"message": message, "finish_reason": "stop"}]}).text == "1: 0"
    message = {"content": None, "reasoning_content": "perhaps 1: 1"}
    assert _reply({"choices": [{"message": message, "finish_reason": "stop"}]}).text == ""
