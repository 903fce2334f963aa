"""Anthropic's messages. What the next request will repeat is marked for its cache.

That is the tools and the system part; the program's own messages before the last reply, which stay
as they are while later turns are shortened; and the newest message, for a request that is repeated
or that only adds to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ...evals.judge.reasoning import remove_reasoning
from ..runlog.model_config import ModelConfig
from .connection import USUAL_LIMITS, Limits, Received, client_options
from .conversation import (
    AssistantMessage,
    Message,
    Reply,
    Request,
    Stop,
    TokenUsage,
    ToolCall,
    ToolResults,
    UserMessage,
)
from .dialect import Dialect
from .ending import ended_at_limit, stop_of, with_ids
from .errors import ModelError, OtherForm, Rejected
from .http_errors import HttpReply, Server, send_once
from .json_values import as_object, as_objects, token_count
from .rate_headers import allowances
from .reply_limits import bounded

PROVIDER, OWN_SERVER = "ANTHROPIC", "https://api.anthropic.com"
THINKING_TOKENS = 16_384
"""Tokens added to the answer's own for a model that thinks. With more, the SDK insists on streaming."""
_STOPS: dict[str, Stop] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "tool_use": "tools",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refused",
}
_CACHED = {"cache_control": {"type": "ephemeral"}}
_ECHOED = {
    "text": ("text", "citations"),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
    "tool_use": ("id", "name", "input", "caller", "toolset_name"),
}
"""Kind of block to the fields that the API takes back. It refuses any others, which other servers that
speak its protocol add, and blocks of server-side tools, which are not used here."""

_UNFORCED = re.compile(r"tool_choice|forc\w+ tool", re.IGNORECASE)


class AnthropicConnection:
    """A model behind the messages protocol: a `connection.Connection`."""

    def __init__(self, config: ModelConfig, limits: Limits = USUAL_LIMITS) -> None:
        import anthropic

        self.name = config.name
        self.place = (config.base_url or "anthropic", config.model)
        self._config = config
        self._dialect = Dialect(new_limit=False)
        options = client_options(PROVIDER, config, limits, OWN_SERVER)
        self.client = anthropic.Anthropic(**options)
        self.server = Server(
            anthropic, config.base_url or "Anthropic", f"{PROVIDER}_API_KEY", config.model
        )
        self._forces = config.thinking != "adaptive"
        """Whether a tool call may be forced; a model that thinks must be free to choose."""

    def attempt(self, request: Request) -> Received:
        """Send a request once; OtherForm if this model cannot be forced to call a tool, once."""
        forces = self._forces
        try:
            return self._send(request)
        except Rejected as error:
            if self._dialect.learn(str(error), {"stream": self._dialect.stream}):
                raise OtherForm(str(error)) from error
            if not (forces and request.tools and _UNFORCED.search(str(error))):
                raise
            # A model that thinks by default: remember it. The rejected request cost nothing.
            self._forces = False
            raise OtherForm(str(error)) from error

    def most_output(self, request: Request) -> int:
        """Limit of the reply's tokens, as it is sent: those of the answer and those to think with."""
        return request.max_tokens + (THINKING_TOKENS if self._thinks else 0)

    def _send(self, request: Request) -> Received:
        import httpx2

        create = self.client.messages.with_raw_response.create
        wire = self.wire(request)

        def send() -> Any:
            if self._dialect.stream:  # the SDK's own method leaves a stream unread
                streamed = wire | {"stream": True}
                return self.client.post("/v1/messages", body=streamed, cast_to=httpx2.Response)
            return create(**wire).http_response

        body, headers = send_once(self.server, send)
        return Received(self.read(body, request), allowances(headers))

    def read(self, body: dict[str, Any], request: Request) -> Reply:
        """The reply in the body of an answer; ModelError if there is none."""
        reply = bounded(_reply(body, turn=len(request.messages)))
        return ended_at_limit(reply, self.most_output(request))

    def models(self) -> HttpReply:
        """What the server says about the model, as a list of one under ``data``. Asking is free."""
        retrieve = self.client.models.with_raw_response.retrieve
        body, headers = send_once(self.server, lambda: retrieve(self._config.model).http_response)
        return HttpReply({"data": [body]}, headers)

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    def wire(self, request: Request) -> dict[str, Any]:
        """The request as JSON of the messages protocol, with marks for the prompt cache."""
        messages = [_message(message) for message in request.messages]
        for place in _cached_until(request.messages):
            *content, last = messages[place]["content"]
            messages[place] = messages[place] | {"content": [*content, last | _CACHED]}
        wire: dict[str, Any] = {
            "model": self._config.model,
            "max_tokens": self.most_output(request),
            "system": [{"type": "text", "text": request.system} | _CACHED],
            "messages": messages,
        }
        if request.tools:
            wire["tools"] = [
                {"name": t.name, "description": t.description, "input_schema": dict(t.parameters)}
                for t in request.tools
            ]
            wire["tool_choice"] = _choice(request.tool_choice) if self._forces else {"type": "auto"}
        if self._config.effort:
            wire["output_config"] = {"effort": self._config.effort}
        if self._config.thinking:
            wire["thinking"] = {"type": self._config.thinking}
        return wire

    @property
    def _thinks(self) -> bool:
        return self._config.thinking != "disabled"


def _cached_until(messages: Sequence[Message]) -> set[int]:
    """The places of the messages that are marked: the last one of the program's that comes before the
    last reply, and the newest one unless it is a reply."""
    replies = [i for i, message in enumerate(messages) if isinstance(message, AssistantMessage)]
    before = range(replies[-1] if replies else 0)
    stable = [i for i in before if isinstance(messages[i], UserMessage)]
    newest = range(len(messages))[-1:]
    return {*stable[-1:], *(i for i in newest if i not in replies)}


def _choice(choice: str) -> dict[str, str]:
    return {"type": choice} if choice in ("auto", "any") else {"type": "tool", "name": choice}


def _message(message: Message) -> dict[str, Any]:
    """One message as JSON of the messages protocol."""
    if isinstance(message, UserMessage):
        return {"role": "user", "content": [{"type": "text", "text": message.text}]}
    if isinstance(message, ToolResults):
        results = [
            {"type": "tool_result", "tool_use_id": r.id, "content": r.text, "is_error": r.error}
            for r in message.results
        ]
        return {"role": "user", "content": results}
    assert isinstance(message, AssistantMessage)
    return {
        "role": "assistant",
        "content": _echoed_blocks(message.reply.native) or _echo(message.reply),
    }


def _echoed_blocks(native: object) -> list[dict[str, Any]]:
    """A reply's own blocks, as the API takes them back. It refuses empty texts, even its own."""
    blocks = []
    for block in as_objects(native):
        kind = str(block.get("type"))
        fields = {name: block[name] for name in _ECHOED.get(kind, ()) if name in block}
        if kind == "tool_use":
            fields |= {"name": str(block.get("name") or ""), "input": as_object(block.get("input"))}
        if fields and (kind != "text" or _has_text(block)):
            blocks.append({"type": kind} | fields)
    return blocks


def _has_text(block: dict[str, Any]) -> bool:
    text = block.get("text")
    return isinstance(text, str) and bool(text.strip())


def _echo(reply: Reply) -> list[dict[str, Any]]:
    text = [{"type": "text", "text": reply.text}] if reply.text.strip() else []
    return text + [
        {"type": "tool_use", "id": c.id, "name": c.name, "input": c.arguments or {}}
        for c in reply.calls
    ]


def _reply(body: dict[str, Any], turn: int = 0) -> Reply:
    """The model's reply in a response; ModelError if there is none.

    Args:
        turn: number of messages before it, for the ids of calls that have none.
    """
    usage = _usage(body.get("usage"))
    if not isinstance(body.get("content"), list):
        error = ModelError(
            "the server answered without content; does it speak Anthropic's messages?"
        )
        error.usage = usage
        raise error
    listed = with_ids([b for b in as_objects(body["content"]) if b.get("type") == "tool_use"], turn)
    others = [block for block in as_objects(body["content"]) if block.get("type") != "tool_use"]
    text = "".join(str(block.get("text") or "") for block in others if block.get("type") == "text")
    found = remove_reasoning(text)
    if found.removed:  # one block with the answer replaces all text blocks
        others = [block for block in others if block.get("type") != "text"]
        others.append({"type": "text", "text": found.answer})
    native = [{k: v for k, v in block.items() if v is not None} for block in [*others, *listed]]
    stop = stop_of(body.get("stop_reason"), _STOPS, found)
    model = str(body.get("model") or "")
    return Reply(found.answer, tuple(map(_tool_call, listed)), stop, usage, model, native)


def _tool_call(block: dict[str, Any]) -> ToolCall:
    arguments = block.get("input")
    raw = json.dumps(arguments, ensure_ascii=False)
    usable = arguments if isinstance(arguments, dict) else None
    return ToolCall(str(block.get("id") or ""), str(block.get("name") or ""), usable, raw)


def _usage(value: object) -> TokenUsage | None:
    usage = as_object(value)
    fresh, output = token_count(usage.get("input_tokens")), token_count(usage.get("output_tokens"))
    if fresh is None or output is None:
        return None
    read, written = (
        token_count(usage.get(f"cache_{k}_input_tokens")) or 0 for k in ("read", "creation")
    )
    total = fresh + read + written
    return TokenUsage(total, output, read, written) if total else None  # 0: it was not counted


connect = AnthropicConnection
