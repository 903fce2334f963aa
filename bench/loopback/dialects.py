"""Servers that depart from their protocol: what they refuse, and the form of their answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .script import Script
from .wires import Provider

PIECE = 7
"""Characters in a piece of a stream; few, so that words, marks and JSON are split."""
THOUGHT = "I think about it."


def refusal(script: Script, provider: Provider, body: Mapping[str, Any]) -> str:
    """Why the server refuses the form of a request, or ""."""
    if body.get("stream") and not script.streams_only:
        return "this server does not stream; leave out stream"
    if script.streams_only and not body.get("stream"):
        return "this server only supports streaming: stream must be set to true"
    if provider == "anthropic":
        return ""
    if script.new_limit_only and "max_tokens" in body:
        return (
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead."
        )
    name = script.reasoning
    replies = [message for message in body["messages"] if message["role"] == "assistant"]
    if name and not all(message.get(name) for message in replies):
        return f"the `{name}` of earlier replies must be passed back to the API"
    return ""


def dressed(script: Script, provider: Provider, answer: dict[str, Any]) -> dict[str, Any]:
    """An answer with the reasoning that the script asks for."""
    name = script.reasoning
    if not name or provider == "anthropic":
        return answer
    thought = [{"type": "reasoning.text", "text": THOUGHT}] if name.endswith("s") else THOUGHT
    choices = [c | {"message": c["message"] | {name: thought}} for c in answer["choices"]]
    return answer | {"choices": choices}


def events(provider: Provider, answer: dict[str, Any]) -> bytes:
    """An answer as a stream of events."""
    if provider == "openai":
        lines = [f"data: {json.dumps(event)}" for event in _openai(answer)]
        return "\n\n".join([*lines, "data: [DONE]", ""]).encode()
    lines = [f"event: {e['type']}\ndata: {json.dumps(e)}" for e in _anthropic(answer)]
    return "\n\n".join([*lines, ""]).encode()


def _pieces(text: str) -> list[str]:
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]


def _openai(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    head = {key: answer[key] for key in ("id", "created", "model")}
    choice = answer["choices"][0]

    def chunk(delta: dict[str, Any], ending: str | None = None) -> dict[str, Any]:
        return head | {"choices": [{"index": 0, "delta": delta, "finish_reason": ending}]}

    yield chunk({"role": "assistant", "content": ""})
    for name, value in choice["message"].items():
        if name == "tool_calls":
            for place, call in enumerate(value):
                function = call["function"]
                begun = {"index": place, "id": call["id"], "type": "function"}
                yield chunk({"tool_calls": [begun | {"function": {"name": function["name"]}}]})
                for piece in _pieces(function["arguments"]):
                    yield chunk(
                        {"tool_calls": [{"index": place, "function": {"arguments": piece}}]}
                    )
        elif isinstance(value, str) and name != "role":
            yield from (chunk({name: piece}) for piece in _pieces(value))
        elif isinstance(value, list):
            yield chunk({name: value})
    yield chunk({}, choice["finish_reason"])
    yield head | {"choices": [], "usage": answer["usage"]}


def _anthropic(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    usage = answer["usage"]
    begun = answer | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    yield {"type": "message_start", "message": begun}
    for place, block in enumerate(answer["content"]):
        is_call = block["type"] == "tool_use"
        empty = {"input": {}} if is_call else {"text": ""}
        yield {"type": "content_block_start", "index": place, "content_block": block | empty}
        for piece in _pieces(json.dumps(block["input"]) if is_call else block["text"]):
            kind = "input_json_delta" if is_call else "text_delta"
            delta = {"type": kind, "partial_json" if is_call else "text": piece}
            yield {"type": "content_block_delta", "index": place, "delta": delta}
        yield {"type": "content_block_stop", "index": place}
    ending = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
    counted = {"output_tokens": usage["output_tokens"]}
    yield {"type": "message_delta", "delta": ending, "usage": counted}
    yield {"type": "message_stop"}
