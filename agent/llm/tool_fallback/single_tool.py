"""Many tools merged into one, for servers that can only force a call of a named tool.

llama-cpp-python is such a server.

1. The request has one tool, chosen by its name, whose arguments are a list of calls: tool and
   arguments. The system part describes the tools (`prompts/one_tool.md`): such a server forces the
   form of a call but may not show the model a tool's description (llama-cpp-python does not, if the
   chat template has no tools).
2. Each member of that list in a reply becomes a call, under the id of the one call and a number.
3. The answers go back as the one call's answer, in order.

Such a server holds the model to the schema, so that even a small model makes readable calls.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .... import prompts
from ..conversation import (
    AssistantMessage,
    Message,
    Reply,
    Request,
    ToolCall,
    ToolResult,
    ToolResults,
    ToolSchema,
)
from .in_text import tool_lines

NAME = "call_tools"
_PART = re.compile(r"(?P<whole>.*)#\d+", re.DOTALL)


def merge_into_one(request: Request) -> Request:
    """The same request with one tool that calls the others."""
    description = "\n\n".join(prompts.load("one_tool").fill(tools=tool_lines(request.tools)))
    system = f"{request.system}\n\n{description}"
    call = {
        "type": "object",
        "properties": {
            "tool": {"type": "string", "enum": [tool.name for tool in request.tools]},
            "arguments": {"type": "object"},
        },
        "required": ["tool", "arguments"],
    }
    schema = {
        "type": "object",
        "properties": {"calls": {"type": "array", "items": call}},
        "required": ["calls"],
    }
    messages = tuple(_joined(message) for message in request.messages)
    tool = ToolSchema(NAME, "Calls the tools that were described, one or more.", schema)
    return replace(request, system=system, messages=messages, tools=(tool,), tool_choice=NAME)


def read_calls(reply: Reply) -> Reply:
    """A reply with the calls that its one call lists; an unreadable list is one unreadable call."""
    return replace(reply, calls=tuple(part for call in reply.calls for part in _parts(call)))


def _parts(call: ToolCall) -> Iterator[ToolCall]:
    listed = (call.arguments or {}).get("calls")
    if call.name != NAME:
        yield call
        return
    if not isinstance(listed, list):
        yield ToolCall(_part(call.id, 1), "", None, call.raw)
        return
    for number, member in enumerate(listed, 1):
        fields: dict[str, Any] = member if isinstance(member, dict) else {}
        arguments = fields.get("arguments", {})
        usable = arguments if isinstance(arguments, dict) else None
        raw = json.dumps(arguments, ensure_ascii=False)
        yield ToolCall(_part(call.id, number), str(fields.get("tool") or ""), usable, raw)


def _part(id: str, number: int) -> str:
    """The id of one part; none without the call's id, and then the reply is not used."""
    return f"{id}#{number}" if id else ""


def _joined(message: Message) -> Message:
    """A message as the model knows it: its one call, and the one answer."""
    if isinstance(message, ToolResults):
        return ToolResults(tuple(_answers(message.results)))
    if isinstance(message, AssistantMessage) and message.reply.native is None:
        listed = [
            {"tool": call.name, "arguments": call.arguments or {}} for call in message.reply.calls
        ]
        whole = _whole(message.reply.calls[0].id) if listed else ""
        if whole:
            arguments = {"calls": listed}
            raw = json.dumps(arguments, ensure_ascii=False)
            merged = ToolCall(whole, NAME, arguments, raw)
            return AssistantMessage(replace(message.reply, calls=(merged,)))
    return message


def _answers(results: tuple[ToolResult, ...]) -> Iterator[ToolResult]:
    by_call: dict[str, list[ToolResult]] = {}
    for result in results:
        by_call.setdefault(_whole(result.id) or result.id, []).append(result)
    for id, parts in by_call.items():
        yield ToolResult(
            id, "\n\n".join(part.text for part in parts), error=all(part.error for part in parts)
        )


def _whole(id: str) -> str:
    """The id of the one call that a call was listed in, or an empty string."""
    match = _PART.fullmatch(id)
    return match["whole"] if match else ""
