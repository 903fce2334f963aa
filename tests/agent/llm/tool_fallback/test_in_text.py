"""Tool calls in words: what is read, and what goes back."""

from __future__ import annotations

import json

import pytest

from hubel.agent.llm.conversation import (
    AssistantMessage,
    Reply,
    Request,
    ToolResult,
    ToolResults,
    ToolSchema,
    UserMessage,
)
from hubel.agent.llm.tool_fallback.in_text import describe_in_text, read_calls

CALL = '{"tool": "propose", "arguments": {"n": 1}}'


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (f"Let me see.\n```json\n{CALL}\n```\nDone.", ["propose"]),
        (f"```\n{CALL}\n```\n```JSON\n{CALL}\n```", ["propose", "propose"]),
        (f"```json\n[{CALL}, {CALL}]\n```", ["propose", "propose"]),
        (f"```json\n{CALL}\n{CALL}\n```", ["propose", "propose"]),
        (f"```json\n{CALL}", ["propose"]),  # cut off behind the call
        (CALL, ["propose"]),  # no fence
        ('```json\n{"name": "propose", "parameters": {}}\n```', ["propose"]),
        (
            '```json\n{"tool": "propose", "arguments": {"n": \n```',
            [""],
        ),  # no JSON: goes back as such
        ("```python\nprint(1)\n```", []),
        ("I would propose that it fires on cats.", []),
        ("", []),
    ],
)
def test_calls_are_read_from_text(text: str, names: list[str]) -> None:
    reply = read_calls(Reply(text))
    assert [call.name for call in reply.calls] == names
    assert reply.stop == ("tools" if names else "end")
    assert len({call.id for call in reply.calls}) == len(names)


def test_a_reply_that_was_cut_off_or_refused_stays_so() -> None:
    assert read_calls(Reply(CALL, stop="length")).stop == "length"
    assert read_calls(Reply("no", stop="refused")).stop == "refused"


def test_arguments_that_are_no_object_cannot_be_read() -> None:
    (call,) = read_calls(Reply('```json\n{"tool": "a", "arguments": [1]}\n```')).calls
    assert call.arguments is None


def test_many_blocks_are_not_all_read() -> None:
    assert len(read_calls(Reply(f"```json\n{CALL}\n```\n" * 500)).calls) == 32


def test_tools_and_their_answers_are_told_in_words() -> None:
    tool = ToolSchema(
        "look", "Looks.", {"type": "object", "properties": {"at": {"type": "string"}}}
    )
    said = AssistantMessage(read_calls(Reply('```json\n{"tool": "look", "arguments": {}}\n```')))
    answers = ToolResults(
        (ToolResult("call1", "nothing there"), ToolResult("call2", "bad", error=True))
    )
    asked = describe_in_text(
        Request("You look.", (UserMessage("go"), said, answers), (tool,), tool_choice="any")
    )
    assert asked.tools == ()
    assert asked.system.startswith("You look.")
    assert json.dumps(tool.parameters) in asked.system
    last = asked.messages[-1]
    assert isinstance(last, UserMessage)
    assert "[call1] nothing there" in last.text
    assert "[call2] (error) bad" in last.text
