"""Anthropic's messages. The stable prefix, tools and system part, and the newest message are marked for its cache."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ...tools.errors import UnavailableError, UsageError
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
from .errors import ModelError, Rejected, Unreachable
from .settings import ModelSettings, key_of

_STOPS: dict[str, Stop] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "tool_use": "tools",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refused",
}
_CACHED = {"cache_control": {"type": "ephemeral"}}


class AnthropicModel:
    """A model behind the messages protocol."""

    def __init__(self, model: str, settings: ModelSettings) -> None:
        self.name = f"anthropic:{model}"
        self._model, self._settings = model, settings
        self._client = _client(settings)

    def reply(self, request: Request) -> Reply:
        """One message; raises ModelError when there is none."""
        with _named_errors(self._settings):
            found = self._client.messages.create(**self._wire(request))
        return _reply(found.model_dump(mode="json"))

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def _wire(self, request: Request) -> dict[str, Any]:
        messages = [_message(message) for message in request.messages]
        if messages and isinstance(messages[-1]["content"], list) and messages[-1]["role"] == "user":
            last = messages[-1]["content"][-1] | _CACHED
            messages[-1] = messages[-1] | {"content": [*messages[-1]["content"][:-1], last]}
        wire: dict[str, Any] = {
            "model": self._model,
            "max_tokens": request.max_tokens,
            "system": [{"type": "text", "text": request.system} | _CACHED],
            "messages": messages,
        }
        if request.tools:
            wire["tools"] = [
                {"name": t.name, "description": t.description, "input_schema": dict(t.parameters)}
                for t in request.tools
            ]
            # A model that thinks refuses to be forced to a tool; told to use tools only, it does so unforced.
            wire["tool_choice"] = {"type": "auto"}
        if self._settings.effort:
            wire["output_config"] = {"effort": self._settings.effort}
        return wire


def _message(message: Message) -> dict[str, Any]:
    if isinstance(message, UserMessage):
        return {"role": "user", "content": [{"type": "text", "text": message.text}]}
    if isinstance(message, ToolResults):
        results = [
            {"type": "tool_result", "tool_use_id": r.id, "content": r.text, "is_error": r.error}
            for r in message.results
        ]
        return {"role": "user", "content": results}
    assert isinstance(message, AssistantMessage)
    return {"role": "assistant", "content": message.reply.native or _echo(message.reply)}


def _echo(reply: Reply) -> list[dict[str, Any]]:
    text = [{"type": "text", "text": reply.text}] if reply.text.strip() else []
    return text + [{"type": "tool_use", "id": c.id, "name": c.name, "input": c.arguments or {}} for c in reply.calls]


def _reply(found: dict[str, Any]) -> Reply:
    content = found.get("content")
    if not isinstance(content, list):
        raise ModelError("the server answered without content; does it speak Anthropic's messages?")
    text = "".join(str(block.get("text") or "") for block in content if block.get("type") == "text")
    calls = tuple(_call(block) for block in content if block.get("type") == "tool_use")
    stop = _STOPS.get(found.get("stop_reason") or "", "other")
    native = [{k: v for k, v in block.items() if v is not None} for block in content]
    return Reply(text, calls, stop, _usage(found.get("usage")), str(found.get("model") or ""), native)


def _call(block: dict[str, Any]) -> ToolCall:
    arguments = block.get("input")
    raw = json.dumps(arguments, ensure_ascii=False)
    usable = arguments if isinstance(arguments, dict) else None
    return ToolCall(str(block.get("id") or ""), str(block.get("name") or ""), usable, raw)


def _usage(found: dict[str, Any] | None) -> TokenUsage | None:
    if not found:
        return None
    read, written = (found.get(f"cache_{k}_input_tokens") or 0 for k in ("read", "creation"))
    return TokenUsage((found.get("input_tokens") or 0) + read + written, found.get("output_tokens") or 0, read, written)


def _client(settings: ModelSettings) -> Any:
    import anthropic

    return anthropic.Anthropic(
        api_key=key_of("ANTHROPIC_API_KEY", settings),
        base_url=settings.base_url or None,
        timeout=settings.timeout_s,
        max_retries=settings.retries,
    )


@contextmanager
def _named_errors(settings: ModelSettings) -> Iterator[None]:
    import anthropic

    where = settings.base_url or "Anthropic"
    try:
        yield
    except (anthropic.APIConnectionError, anthropic.RateLimitError, anthropic.InternalServerError) as error:
        raise Unreachable(f"no reply from {where}: {error}") from error
    except anthropic.APIStatusError as error:
        busy = error.status_code in (429, 529)
        raise (Unreachable if busy else Rejected)(f"{where} rejects the request: {error}") from error
    except anthropic.AnthropicError as error:
        raise ModelError(f"no reply: {error}") from error


def make(model: str, settings: ModelSettings) -> AnthropicModel:
    """A client; UsageError without a key."""
    return AnthropicModel(model, settings)


def check(model: str, settings: ModelSettings) -> None:
    """Ask the server for the model. One that keeps no list is believed."""
    import anthropic

    where = settings.base_url or "Anthropic"
    try:
        with _client(replace(settings, retries=0, timeout_s=20)) as client:
            client.models.retrieve(model)
    except (anthropic.AuthenticationError, anthropic.PermissionDeniedError) as error:
        raise UsageError(f"{where} does not take the key in ANTHROPIC_API_KEY: {error}") from error
    except anthropic.NotFoundError as error:
        if not settings.base_url:
            raise UsageError(f"{where} has no model {model!r}: {error}") from error
    except anthropic.APIConnectionError as error:
        raise UnavailableError(f"no server answers at {where}: {error}; start it, or correct --base-url") from error
    except anthropic.AnthropicError:
        return
