"""The server side of both protocols: OpenAI's chat completions and Anthropic's messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

from ...agent.llm.conversation import (
    AssistantMessage,
    Message,
    Reply,
    Request,
    ToolCall,
    ToolResult,
    ToolResults,
    ToolSchema,
    UserMessage,
)

Provider = Literal["openai", "anthropic"]
BLOCKS = {
    "text": {"type", "text", "citations", "cache_control"},
    "tool_use": {"type", "id", "name", "input", "caller", "toolset_name", "cache_control"},
    "thinking": {"type", "thinking", "signature"},
    "redacted_thinking": {"type", "data"},
}
"""Fields that Anthropic accepts in the blocks of an assistant message; it refuses all others."""
CREATED = 1_700_000_000
"""Timestamp of all answers; constant, so that a repeated answer has the same bytes."""


@dataclass(frozen=True)
class TokenCounts:
    """Tokens of one answer; `prompt` includes those read from or written to the cache."""

    prompt: int
    output: int
    read: int
    written: int


@dataclass(frozen=True)
class WireReply:
    """What is sent back."""

    status: int
    body: bytes
    what: str = "answered"
    """Outcome for the ledger: "answered", "error", or the name of a fault."""
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""
    """Name of a connection fault, or ""."""


def request_of(provider: Provider, body: dict[str, Any]) -> Request:
    """The request in a body."""
    return _openai_request(body) if provider == "openai" else _anthropic_request(body)


def refusal_of(request: Request) -> str:
    """Why a provider would refuse a conversation, or "". Results must follow each tool call at once."""
    open_calls: list[str] = []
    for message in request.messages:
        answers = [r.id for r in message.results] if isinstance(message, ToolResults) else []
        if sorted(answers) != sorted(open_calls):
            return f"tool calls {open_calls} are answered by results for {answers}"
        calls = message.reply.calls if isinstance(message, AssistantMessage) else ()
        open_calls = [call.id for call in calls]
    if open_calls:
        return f"the tool calls {open_calls} have no results"
    return "" if request.messages else "no messages"


def answer_of(provider: Provider, model: str, reply: Reply, counts: TokenCounts) -> dict[str, Any]:
    """The body of an answer with a reply."""
    return (_openai_answer if provider == "openai" else _anthropic_answer)(model, reply, counts)


def error_of(provider: Provider, kind: str, message: str) -> dict[str, Any]:
    """The body of an error."""
    if provider == "openai":
        return {"error": {"message": message, "type": kind, "param": None, "code": kind}}
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": "req_loopback",
    }


def model_of(provider: Provider, name: str) -> dict[str, Any]:
    """One entry of the list of models."""
    if provider == "openai":
        return {"id": name, "object": "model", "created": CREATED, "owned_by": "loopback"}
    return {"type": "model", "id": name, "display_name": name, "created_at": "2023-11-14T22:13:20Z"}


def models_of(provider: Provider, names: tuple[str, ...]) -> dict[str, Any]:
    """The list of models."""
    models = [model_of(provider, name) for name in names]
    if provider == "openai":
        return {"object": "list", "data": models}
    ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
    return {"data": models, "has_more": False} | ends


def limit_headers(
    provider: Provider, unit: str, limit: int, left: int, full_in_s: float
) -> dict[str, str]:
    """Headers of a limit per minute: the limit, what is left, and when it is full again."""
    if provider == "openai":
        return {
            f"x-ratelimit-limit-{unit}": str(limit),
            f"x-ratelimit-remaining-{unit}": str(left),
            f"x-ratelimit-reset-{unit}": f"{full_in_s:.3f}s",
        }
    reset = datetime.now(UTC) + timedelta(seconds=full_in_s)
    return {
        f"anthropic-ratelimit-{unit}-limit": str(limit),
        f"anthropic-ratelimit-{unit}-remaining": str(left),
        f"anthropic-ratelimit-{unit}-reset": reset.isoformat().replace("+00:00", "Z"),
    }


def cacheable(provider: Provider, body: dict[str, Any]) -> tuple[list[str], int]:
    """The parts of a prompt in the order in which a cache compares them, and how many may be cached.

    OpenAI caches any prefix, Anthropic those that end in a marked part.
    """
    parts: list[Any] = [body.get("tools") or [], body.get("system") or [], *body["messages"]]
    marked = [
        i
        for i, part in enumerate(parts, 1)
        if provider == "openai" or '"cache_control"' in json.dumps(part)
    ]
    return [json.dumps(_unmarked(part), ensure_ascii=False) for part in parts], max(
        marked, default=0
    )


def _unmarked(value: Any) -> Any:
    """Remove the marks of what may be cached."""
    if isinstance(value, dict):
        return {k: _unmarked(v) for k, v in value.items() if k != "cache_control"}
    return [_unmarked(v) for v in value] if isinstance(value, list) else value


def _openai_request(body: dict[str, Any]) -> Request:
    messages: list[Message] = []
    for message in body["messages"]:
        match message["role"]:
            case "user":
                messages.append(UserMessage(_text(message["content"])))
            case "assistant":
                messages.append(AssistantMessage(_openai_reply(message)))
            case "tool":
                result = ToolResult(message["tool_call_id"], message["content"])
                before = (
                    messages.pop() if isinstance(messages[-1], ToolResults) else ToolResults(())
                )
                messages.append(ToolResults((*cast(ToolResults, before).results, result)))
            case _:
                pass
    tools = tuple(
        ToolSchema(t["function"]["name"], t["function"]["description"], t["function"]["parameters"])
        for t in body.get("tools", ())
    )
    system = next((_text(m["content"]) for m in body["messages"] if m["role"] == "system"), "")
    return Request(system, tuple(messages), tools, tool_choice=_choice(body.get("tool_choice")))


def _choice(choice: Any) -> str:
    """The tool choice of either protocol in hubel's words."""
    if isinstance(choice, dict):
        name = choice.get("name") or choice.get("function", {}).get("name")
        return name or choice["type"]
    return {"required": "any"}.get(choice, choice or "auto")


def _text(content: Any) -> str:
    """The text of content, which is a string or a list of blocks."""
    return (
        content
        if isinstance(content, str)
        else "".join(block.get("text", "") for block in content or ())
    )


def _openai_reply(message: dict[str, Any]) -> Reply:
    calls = tuple(
        ToolCall(c["id"], c["function"]["name"], None, c["function"]["arguments"])
        for c in message.get("tool_calls") or ()
    )
    return Reply(message.get("content") or "", calls)


def _anthropic_request(body: dict[str, Any]) -> Request:
    messages: list[Message] = []
    for message in body["messages"]:
        content = message["content"]
        blocks: list[Any] = (
            [{"type": "text", "text": content}] if isinstance(content, str) else content
        )
        if message["role"] == "assistant":
            _check_blocks(blocks)
            calls = tuple(
                ToolCall(b["id"], b["name"], b["input"], json.dumps(b["input"]))
                for b in blocks
                if b["type"] == "tool_use"
            )
            messages.append(AssistantMessage(Reply(_text(blocks), calls)))
        elif blocks[0]["type"] == "tool_result":
            results = (
                ToolResult(b["tool_use_id"], _text(b["content"]), b.get("is_error", False))
                for b in blocks
            )
            messages.append(ToolResults(tuple(results)))
        else:
            messages.append(UserMessage(_text(blocks)))
    tools = tuple(
        ToolSchema(t["name"], t["description"], t["input_schema"]) for t in body.get("tools", ())
    )
    choice = _choice(body.get("tool_choice"))
    return Request(_text(body.get("system") or ""), tuple(messages), tools, tool_choice=choice)


def _check_blocks(blocks: list[Any]) -> None:
    for block in blocks:
        if extra := set(block) - BLOCKS[block["type"]]:
            raise ValueError(
                f"{block['type']}: {', '.join(sorted(extra))}: extra inputs are not permitted"
            )
        if block["type"] == "text" and not block["text"].strip():
            raise ValueError("text content blocks must be non-empty")
        if block["type"] == "tool_use" and not isinstance(block["input"], dict):
            raise ValueError("tool_use: input should be an object")


def _openai_answer(model: str, reply: Reply, counts: TokenCounts) -> dict[str, Any]:
    calls = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.raw}}
        for c in reply.calls
    ]
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    message |= {"tool_calls": calls} if calls else {}
    ending = {"tools": "tool_calls", "length": "length", "refused": "content_filter"}.get(
        reply.stop, "stop"
    )
    total = counts.prompt + counts.output
    usage = {
        "prompt_tokens": counts.prompt,
        "completion_tokens": counts.output,
        "total_tokens": total,
    }
    usage |= {"prompt_tokens_details": {"cached_tokens": counts.read}}
    choice = {"index": 0, "message": message, "finish_reason": ending}
    about = {
        "id": "chatcmpl-loopback",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
    }
    return about | {"choices": [choice], "usage": usage}


def _anthropic_answer(model: str, reply: Reply, counts: TokenCounts) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    content += [
        {"type": "tool_use", "id": c.id, "name": c.name, "input": c.arguments or {}}
        for c in reply.calls
    ]
    ending = {"tools": "tool_use", "length": "max_tokens", "refused": "refusal"}.get(
        reply.stop, "end_turn"
    )
    usage = {
        "input_tokens": counts.prompt - counts.read - counts.written,
        "output_tokens": counts.output,
    }
    usage |= {"cache_read_input_tokens": counts.read, "cache_creation_input_tokens": counts.written}
    about = {
        "id": "msg_loopback",
        "type": "message",
        "role": "assistant",
        "model": model,
        "stop_sequence": None,
    }
    return about | {"content": content, "stop_reason": ending, "usage": usage}
