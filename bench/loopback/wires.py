"""The two protocols, as a server speaks them: OpenAI's chat completions and Anthropic's messages."""

from __future__ import annotations

import json
from dataclasses import dataclass
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
"""What Anthropic takes in a message of the model's own; it refuses a request with anything else."""
CREATED = 1_700_000_000
"""The time that answers carry: always the same, so that an answer repeated is the same to the last byte."""


@dataclass(frozen=True)
class Counts:
    """Tokens of one answer; `prompt` includes those read from or written to the cache."""

    prompt: int
    output: int
    read: int
    written: int


def request_of(provider: Provider, body: dict[str, Any]) -> Request:
    """What a body of the wire asks."""
    return _openai_request(body) if provider == "openai" else _anthropic_request(body)


def refusal_of(request: Request) -> str:
    """Why a provider would refuse a conversation, or an empty string: each tool call must be answered, at once."""
    open_calls: list[str] = []
    for message in request.messages:
        answers = [r.id for r in message.results] if isinstance(message, ToolResults) else []
        if sorted(answers) != sorted(open_calls):
            return f"tool calls {open_calls} are answered by results for {answers}"
        open_calls = (
            [c.id for c in message.reply.calls] if isinstance(message, AssistantMessage) else []
        )
    return (
        f"the tool calls {open_calls} have no results"
        if open_calls
        else ""
        if request.messages
        else "no messages"
    )


def answer_of(provider: Provider, model: str, reply: Reply, counts: Counts) -> dict[str, Any]:
    """A reply as the body of an answer."""
    return (_openai_answer if provider == "openai" else _anthropic_answer)(model, reply, counts)


def error_of(provider: Provider, kind: str, message: str) -> dict[str, Any]:
    """The body of an answer that is an error."""
    if provider == "openai":
        return {"error": {"message": message, "type": kind, "param": None, "code": kind}}
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": "req_loopback",
    }


def model_of(provider: Provider, name: str) -> dict[str, Any]:
    """One model as a list of models has it."""
    if provider == "openai":
        return {"id": name, "object": "model", "created": CREATED, "owned_by": "loopback"}
    return {"type": "model", "id": name, "display_name": name, "created_at": "2023-11-14T22:13:20Z"}


def models_of(provider: Provider, names: tuple[str, ...]) -> dict[str, Any]:
    """The list of models."""
    found = [model_of(provider, name) for name in names]
    if provider == "openai":
        return {"object": "list", "data": found}
    ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
    return {"data": found, "has_more": False} | ends


def limit_headers(
    provider: Provider, unit: str, limit: int, left: int, full_in_s: float
) -> dict[str, str]:
    """What a provider says of a limit a minute: how much, what is left, and when it is whole again."""
    if provider == "openai":
        named = {"limit": str(limit), "remaining": str(left), "reset": f"{full_in_s:.3f}s"}
        return {f"x-ratelimit-{what}-{unit}": value for what, value in named.items()}
    reset = datetime.now(UTC) + timedelta(seconds=full_in_s)
    named = {
        "limit": str(limit),
        "remaining": str(left),
        "reset": reset.isoformat().replace("+00:00", "Z"),
    }
    return {f"anthropic-ratelimit-{unit}-{what}": value for what, value in named.items()}


def cacheable(provider: Provider, body: dict[str, Any]) -> tuple[list[str], int]:
    """The parts of a prompt in the order in which a cache compares them, and how many of them may
    be written to it.

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
    """Without the marks that say up to where something may be cached."""
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


def _choice(asked: Any) -> str:
    """A choice of tools in either protocol's words, as ours."""
    if isinstance(asked, dict):
        name = asked.get("name") or asked.get("function", {}).get("name")
        return name or asked["type"]
    return {"required": "any"}.get(asked, asked or "auto")


def _text(content: Any) -> str:
    """Content is a string, or a list of blocks some of which have text."""
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


def _openai_answer(model: str, reply: Reply, counts: Counts) -> dict[str, Any]:
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


def _anthropic_answer(model: str, reply: Reply, counts: Counts) -> dict[str, Any]:
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
