"""Limits of a reply, checked before anything else reads it.

A server decides what is in a reply. Too much of anything is refused; what no log or terminal can
hold (lone surrogates, NaN, deep nesting) is replaced.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ...tools.files.untrusted_text import whole_characters
from .conversation import Reply, ToolCall
from .errors import OversizedReply

MAX_BYTES = 8 << 20
"""Of a body, decompressed. The largest honest ones are lists of models (1 MB) and replies with
log-probabilities (5 MB)."""
MAX_CALLS = 64
"""Tool calls in a reply; models that call in parallel make about ten at most. Each costs an answer
in the conversation: 100,000 took 72 s and 1.8 GB."""
MAX_CHARACTERS = 1_000_000
"""Of text and arguments together; the longest honest replies have a tenth of it."""
MAX_NAME = 200
"""Characters of a call's name, its id, and the model's name."""
MAX_DEPTH = 40
"""Levels of JSON in a reply that are kept; no tool takes arguments that are nested deeper."""


def bounded(reply: Reply) -> Reply:
    """A reply that can be logged and answered.

    Raises:
        OversizedReply: it has too many calls or characters.
    """
    if len(reply.calls) > MAX_CALLS:
        raise OversizedReply(
            f"the reply makes {len(reply.calls):,} tool calls; at most {MAX_CALLS} are taken"
        )
    length = len(reply.text) + sum(len(call.raw) for call in reply.calls)
    if length > MAX_CHARACTERS:
        raise OversizedReply(
            f"the reply has {length:,} characters; at most {MAX_CHARACTERS:,} are taken"
        )
    return replace(
        reply,
        text=whole_characters(reply.text),
        calls=tuple(map(_bounded_call, reply.calls)),
        model=whole_characters(reply.model)[:MAX_NAME],
        native=bounded_json(reply.native),
    )


def _bounded_call(call: ToolCall) -> ToolCall:
    return ToolCall(
        whole_characters(call.id)[:MAX_NAME],
        whole_characters(call.name)[:MAX_NAME],
        bounded_json(call.arguments),
        whole_characters(call.raw),
    )


def bounded_json(value: Any, depth: int = 0) -> Any:
    """A value that any log can hold: whole characters, finite numbers, at most MAX_DEPTH levels."""
    if depth > MAX_DEPTH:
        return None
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {whole_characters(str(k)): bounded_json(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [bounded_json(v, depth + 1) for v in value]
    return value
