"""Tool calls written in the text, for models and servers without tool calls.

1. The tools are described in the system part (`prompts/text_tools.md`), each with its JSON schema.
2. A call is a fenced block of JSON in the reply: ``{"tool": "name", "arguments": {...}}``; a list
   is several.
3. The answers go back as a message of the program. The text outside the blocks is the reply's text.

The model is asked without tools; the loop sees no difference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from .... import prompts
from ..conversation import Message, Reply, Request, ToolCall, ToolResults, ToolSchema, UserMessage

MAX_CALLS = 32
"""Blocks of one reply that are read; a small model may repeat the same one until it is cut off."""
_BETWEEN = re.compile(r"[ \t\r\n,]*")
_BLOCK = re.compile(r"```[a-zA-Z]*[ \t]*\r?\n(.*?)(?:```|\Z)", re.DOTALL)


def describe_in_text(request: Request) -> Request:
    """The same request with its tools and their answers written out in text."""
    description = f"{prompts.load('text_tools').system}\n{tool_lines(request.tools)}"
    messages = tuple(_in_text(message) for message in request.messages)
    return replace(
        request,
        system=f"{request.system}\n\n{description}",
        messages=messages,
        tools=(),
        tool_choice="auto",
    )


def tool_lines(tools: Iterable[ToolSchema]) -> str:
    """A line of JSON for each tool."""
    tools_json = (
        {"name": t.name, "description": t.description, "parameters": dict(t.parameters)}
        for t in tools
    )
    return "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools_json)


def read_calls(reply: Reply) -> Reply:
    """A reply with the calls of its fenced blocks.

    A block that looks like JSON but is not JSON is an unreadable call.
    """
    calls: list[ToolCall] = []
    for block in _BLOCK.findall(reply.text)[:MAX_CALLS]:
        calls += _calls(block.strip(), len(calls))
    text = _BLOCK.sub("", reply.text) if calls else reply.text
    if not calls:  # the whole reply may be the call, without a fence
        calls, text = _calls(reply.text.strip(), 0, fenced=False), reply.text
    stop = "tools" if calls and reply.stop in ("end", "other") else reply.stop
    return replace(reply, text=text.strip(), calls=tuple(calls[:MAX_CALLS]), stop=stop)


def _in_text(message: Message) -> Message:
    if not isinstance(message, ToolResults):
        return message
    answers = "\n\n".join(
        f"[{r.id}]{' (error)' if r.error else ''} {r.text}" for r in message.results
    )
    return UserMessage(prompts.load("text_tools").fill(answers=answers).user)


def _calls(block: str, before: int, *, fenced: bool = True) -> list[ToolCall]:
    """The calls of a block.

    Args:
        fenced: whether text that looks like JSON but is not is an unreadable call.
    """
    objects = list(_objects(block))
    if not objects:
        return (
            [ToolCall(f"call{before + 1}", "", None, block)]
            if fenced and block.startswith(("{", "["))
            else []
        )
    return [_call(call, before + number) for number, call in enumerate(objects, 1) if _name(call)]


def _objects(block: str) -> Iterator[dict[str, Any]]:
    """JSON objects, one after the other or in a list."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(block):
        try:
            value, at = decoder.raw_decode(block, at)
        except (ValueError, RecursionError):
            return
        yield from (
            v for v in (value if isinstance(value, list) else [value]) if isinstance(v, dict)
        )
        at = _BETWEEN.match(block, at).end()  # pyright: ignore[reportOptionalMemberAccess]


def _name(call: dict[str, Any]) -> str:
    return str(call.get("tool") or call.get("name") or "")


def _call(call: dict[str, Any], number: int) -> ToolCall:
    arguments = call.get("arguments", call.get("parameters", {}))
    usable = arguments if isinstance(arguments, dict) else None
    return ToolCall(f"call{number}", _name(call), usable, json.dumps(arguments, ensure_ascii=False))
