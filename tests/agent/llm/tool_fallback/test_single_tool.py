"""Tools behind one that is named: what is read, what goes back, and who is found to need it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hubel.agent.llm import make_model, preflight
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
from hubel.agent.llm.tool_fallback.single_tool import NAME, merge_into_one, read_calls
from hubel.agent.run.replay import replay
from hubel.agent.runlog.model_config import ModelConfig
from hubel.agent.runlog.views import target_rows
from hubel.bench.loopback import Loopback
from tests.support.language_model_runs import RunModel
from tests.support.scripted_model import diligent

PROVIDERS = pytest.mark.parametrize("provider", ["openai", "anthropic"])
TOOLS = (
    ToolSchema("propose", "Writes down.", {"type": "object"}),
    ToolSchema("conclude", "Ends.", {}),
)


def one(arguments: object) -> Reply:
    usable = arguments if isinstance(arguments, dict) else None
    return Reply("", (ToolCall("c", NAME, usable, json.dumps(arguments)),), "tools")


def test_each_call_of_the_list_is_one() -> None:
    listed = [{"tool": "propose", "arguments": {"n": 1}}, {"tool": "conclude", "arguments": [1]}, 7]
    calls = read_calls(one({"calls": listed})).calls
    assert [(call.id, call.name, call.arguments) for call in calls] == [
        ("c#1", "propose", {"n": 1}),
        ("c#2", "conclude", None),
        ("c#3", "", {}),
    ]


@pytest.mark.parametrize("arguments", [[], {"calls": 7}, {}, None])
def test_a_list_that_cannot_be_read_is_a_call_that_cannot(arguments: object) -> None:
    (call,) = read_calls(one(arguments)).calls
    assert (call.id, call.name, call.arguments) == ("c#1", "", None)


def test_a_call_without_an_id_has_none() -> None:
    reply = Reply(
        "", (ToolCall("", NAME, {"calls": [{"tool": "propose", "arguments": {}}]}),), "tools"
    )
    assert [call.id for call in read_calls(reply).calls] == [""]


def test_a_tool_that_is_called_by_its_own_name_is_understood() -> None:
    reply = Reply("", (ToolCall("c", "propose", {}, "{}"),), "tools")
    assert read_calls(reply) == reply


def test_answers_go_back_as_those_of_the_one_call() -> None:
    reply = read_calls(
        one({"calls": [{"tool": "propose", "arguments": {}}, {"tool": "nothing", "arguments": {}}]})
    )
    results = ToolResults(
        (ToolResult("c#1", "taken"), ToolResult("c#2", "no such tool", error=True))
    )
    sent = merge_into_one(Request("", (UserMessage("go"), AssistantMessage(reply), results), TOOLS))
    assert sent.tool_choice == NAME
    assert [tool.name for tool in sent.tools] == [NAME]
    assert "Writes down." in sent.system
    _, assistant, answered = sent.messages
    assert isinstance(assistant, AssistantMessage)
    assert isinstance(answered, ToolResults)
    assert [call.id for call in assistant.reply.calls] == ["c"]
    assert answered.results == (ToolResult("c", "taken\n\nno such tool"),)


class NamedToolModel:
    """`diligent`, who calls a tool only when it is chosen by its name."""

    name = "openai:test"

    def reply(self, request: Request) -> Reply:
        (tool,) = request.tools
        if request.tool_choice != tool.name:
            return Reply("I would rather talk.")
        if tool.name != NAME:
            return Reply("", (ToolCall("c", tool.name, {}, "{}"),), "tools")
        told = [
            json.loads(line) for line in request.system.splitlines() if line.startswith('{"name"')
        ]
        native = replace(
            request,
            tools=tuple(ToolSchema(t["name"], t["description"], t["parameters"]) for t in told),
        )
        listed = [
            {"tool": call.name, "arguments": call.arguments} for call in diligent(1, native).calls
        ]
        return one({"calls": listed})


@pytest.mark.slow
@PROVIDERS
def test_preflight_finds_models_that_call_only_a_named_tool(provider: str) -> None:
    with Loopback(NamedToolModel()) as server:
        assert (
            preflight(
                ModelConfig(f"{provider}:test", base_url=server.url(provider), tools="auto")
            ).tools
            == "named"
        )


@pytest.mark.slow
@PROVIDERS
def test_an_investigation_through_one_tool(run_model: RunModel, provider: str) -> None:
    with Loopback(NamedToolModel()) as server:
        folder, result = run_model(
            None, explainer=f"{provider}:test", base_url=server.url(provider), tools="named"
        )
    assert result.done == 1
    assert (target_rows(folder)[0]["explanation"], target_rows(folder)[0]["calls"]) == (
        'Fires on "the".',
        6,
    )
    assert replay(folder).bitwise


def test_a_request_without_tools_is_left_as_it_is() -> None:
    class Says:
        name = "openai:test"

        def reply(self, request: Request) -> Reply:
            return Reply("none" if not request.tools else "some")

    with Loopback(Says()) as server:
        client = make_model(
            ModelConfig("openai:test", base_url=server.url("openai"), tools="named")
        )
        assert client.reply(Request("", (UserMessage("go"),))).text == "none"
        client.close()
