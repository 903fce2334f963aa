"""A streamed answer, put together as the server would have sent it whole.

Some servers only stream. The whole stream is read before anything is done with it: its events become
the body that the same protocol has without streaming.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

JOINED = ("content", "reasoning_content", "reasoning", "refusal")
"""Fields of OpenAI's message that come in pieces."""


def is_stream(content: bytes) -> bool:
    """Whether a body is a stream of events."""
    return content.lstrip().startswith((b"data:", b"event:"))


def join_events(content: bytes) -> dict[str, Any] | None:
    """The body that the events make up; None if the stream was cut short.

    An event that is an error is the body.
    """
    events = list(_events(content))
    errors = [e for e in events if isinstance(e.get("error"), (dict, str)) and e["error"]]
    if errors:
        return errors[0]
    anthropic = any(e.get("type") == "message_start" for e in events)
    return _anthropic(events) if anthropic else _openai(events)


def _events(content: bytes) -> Iterator[dict[str, Any]]:
    """The events that are JSON objects."""
    for line in content.decode("utf-8", "replace").splitlines():
        if not line.startswith("data:"):
            continue
        try:
            event = json.loads(line.removeprefix("data:"))
        except (ValueError, RecursionError):
            continue  # "[DONE]", or a line that was cut off: then no reason to stop follows
        if isinstance(event, dict):
            yield event


def _openai(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    message: dict[str, Any] = {"role": "assistant", "content": None}
    calls: dict[Any, dict[str, Any]] = {}
    body: dict[str, Any] = {}
    ending, tokens = None, list[Any]()
    for event in events:
        body |= {k: event[k] for k in ("id", "model", "usage") if event.get(k)}
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else {}
        if not isinstance(choice, dict):
            continue
        ending = choice.get("finish_reason") or ending
        logprobs = choice.get("logprobs")
        if isinstance(logprobs, dict) and isinstance(logprobs.get("content"), list):
            tokens += logprobs["content"]
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, dict):
            _add_delta(message, calls, delta)
    if ending is None:
        return None
    if calls:
        message["tool_calls"] = list(calls.values())
    choice = {"index": 0, "message": message, "finish_reason": ending}
    return body | {"choices": [choice | ({"logprobs": {"content": tokens}} if tokens else {})]}


def _add_delta(
    message: dict[str, Any], calls: dict[Any, dict[str, Any]], delta: dict[str, Any]
) -> None:
    for name in JOINED:
        if isinstance(delta.get(name), str):
            message[name] = (message.get(name) or "") + delta[name]
    if isinstance(delta.get("reasoning_details"), list):
        message["reasoning_details"] = (
            message.get("reasoning_details", []) + delta["reasoning_details"]
        )
    for piece in delta.get("tool_calls") or ():
        if not isinstance(piece, dict):
            continue
        # without an index a piece with a name begins a call of its own
        named = isinstance(piece.get("function"), dict) and piece["function"].get("name")
        place = piece.get("index", len(calls) if named or not calls else len(calls) - 1)
        empty = {"id": None, "type": "function", "function": {"name": "", "arguments": ""}}
        call = calls.setdefault(place, empty)
        call["id"] = piece.get("id") or call["id"]
        function = piece.get("function")
        for name in ("name", "arguments"):
            if isinstance(function, dict) and isinstance(function.get(name), str):
                call["function"][name] += function[name]


def _anthropic(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    body: dict[str, Any] = {}
    blocks: dict[Any, dict[str, Any]] = {}
    inputs: dict[Any, str] = {}
    for event in events:
        place, delta = event.get("index"), event.get("delta")
        match event.get("type"):
            case "message_start" if isinstance(event.get("message"), dict):
                body = dict(event["message"])
            case "content_block_start" if isinstance(event.get("content_block"), dict):
                blocks[place] = dict(event["content_block"])
            case "content_block_delta" if isinstance(delta, dict) and place in blocks:
                inputs[place] = inputs.get(place, "") + str(delta.get("partial_json") or "")
                for name in ("text", "thinking", "signature"):
                    if isinstance(delta.get(name), str):
                        blocks[place][name] = (blocks[place].get(name) or "") + delta[name]
            case "message_delta" if isinstance(delta, dict):
                body |= {k: v for k, v in delta.items() if v is not None}
                body["usage"] = (body.get("usage") or {}) | (event.get("usage") or {})
    if not body.get("stop_reason"):
        return None
    for place, text in inputs.items():
        if blocks[place].get("type") == "tool_use" and text:
            blocks[place]["input"] = _read(text)
    return body | {"content": list(blocks.values())}


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
