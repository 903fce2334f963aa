"""A streamed answer, put together as the server would have sent it whole.

Some servers only stream. The whole stream is read before anything is done with it: its events become
the body that the same protocol has without streaming.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .json_values import as_object, as_objects, as_text

JOINED = ("content", "reasoning_content", "reasoning", "refusal")
"""Fields of OpenAI's message that come in pieces."""
_JOINED_IN_BLOCKS = ("text", "thinking", "signature")
"""The same of Anthropic's blocks."""


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
    calls: dict[str, dict[str, Any]] = {}
    body: dict[str, Any] = {}
    ending, tokens = None, list[Any]()
    for event in events:
        body |= {k: event[k] for k in ("id", "model", "usage") if event.get(k)}
        for choice in as_objects(event.get("choices"))[:1]:
            ending = choice.get("finish_reason") or ending
            tokens += as_objects(as_object(choice.get("logprobs")).get("content"))
            _add_delta(message, calls, as_object(choice.get("delta") or choice.get("message")))
    if ending is None:
        return None
    if calls:
        message["tool_calls"] = list(calls.values())
    choice = {"index": 0, "message": message, "finish_reason": ending}
    return body | {"choices": [choice | ({"logprobs": {"content": tokens}} if tokens else {})]}


def _add_delta(
    message: dict[str, Any], calls: dict[str, dict[str, Any]], delta: dict[str, Any]
) -> None:
    for name in JOINED:
        if piece := as_text(delta.get(name)):
            message[name] = (message.get(name) or "") + piece
    if details := as_objects(delta.get("reasoning_details")):
        message["reasoning_details"] = message.get("reasoning_details", []) + details
    for piece in as_objects(delta.get("tool_calls")):
        function = as_object(piece.get("function"))
        place = piece.get("index")
        if place is None:  # then a piece with a name begins another call
            place = len(calls) if function.get("name") or not calls else len(calls) - 1
        empty = {"id": None, "type": "function", "function": {"name": "", "arguments": ""}}
        call = calls.setdefault(str(place), empty)
        call["id"] = piece.get("id") or call["id"]
        for name in ("name", "arguments"):
            call["function"][name] += as_text(function.get(name))


def _anthropic(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    body: dict[str, Any] = {}
    blocks: dict[str, dict[str, Any]] = {}
    inputs: dict[str, str] = {}
    for event in events:
        place, delta = str(event.get("index")), as_object(event.get("delta"))
        match event.get("type"):
            case "message_start":
                body = dict(as_object(event.get("message")))
            case "content_block_start":
                blocks[place] = dict(as_object(event.get("content_block")))
            case "content_block_delta" if place in blocks:
                inputs[place] = inputs.get(place, "") + as_text(delta.get("partial_json"))
                for name in _JOINED_IN_BLOCKS:
                    if piece := as_text(delta.get(name)):
                        blocks[place][name] = as_text(blocks[place].get(name)) + piece
            case "message_delta":
                body |= {k: v for k, v in delta.items() if v is not None}
                body["usage"] = as_object(body.get("usage")) | as_object(event.get("usage"))
    if not body.get("stop_reason"):
        return None
    for place, text in inputs.items():
        if blocks[place].get("type") == "tool_use" and text:
            blocks[place]["input"] = _parsed(text)
    return body | {"content": list(blocks.values())}


def _parsed(text: str) -> Any:
    """The value of some JSON; text that is not JSON as it is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
