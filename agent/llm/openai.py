"""OpenAI's chat completions, which every compatible server speaks too: vLLM, Ollama, llama.cpp, ...

The SDK does not validate what comes back, so this does: a reply without a choice is an error, one whose arguments are
no JSON is a call with `arguments` None.
"""

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

_STOPS: dict[str, Stop] = {"stop": "end", "tool_calls": "tools", "length": "length", "content_filter": "refused"}


class OpenAIModel:
    """A model behind the chat-completions protocol."""

    def __init__(self, model: str, settings: ModelSettings) -> None:
        self.name = f"openai:{model}"
        self._model, self._settings = model, settings
        self._client = _client(settings)

    def reply(self, request: Request) -> Reply:
        """One completion; raises ModelError when there is none."""
        with _named_errors(self._settings):
            found = self._client.chat.completions.create(**self._wire(request))
        return _reply(found.model_dump(mode="json"))

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def _wire(self, request: Request) -> dict[str, Any]:
        messages = [{"role": "system", "content": request.system}]
        for message in request.messages:
            messages += _messages(message)
        # Servers at home know the old name of the limit, OpenAI's reasoning models only the new one.
        limit = "max_tokens" if self._settings.base_url else "max_completion_tokens"
        wire: dict[str, Any] = {"model": self._model, "messages": messages, limit: request.max_tokens}
        if request.tools:
            wire["tools"] = [
                {
                    "type": "function",
                    "function": {"name": t.name, "description": t.description, "parameters": dict(t.parameters)},
                }
                for t in request.tools
            ]
            wire["tool_choice"] = _choice(request.tool_choice)
        if self._settings.effort:
            wire["reasoning_effort"] = self._settings.effort
        return wire


def _choice(choice: str) -> Any:
    plain = {"auto": "auto", "any": "required"}
    return plain.get(choice) or {"type": "function", "function": {"name": choice}}


def _messages(message: Message) -> list[dict[str, Any]]:
    if isinstance(message, UserMessage):
        return [{"role": "user", "content": message.text}]
    if isinstance(message, ToolResults):
        return [{"role": "tool", "tool_call_id": r.id, "content": r.text} for r in message.results]
    assert isinstance(message, AssistantMessage)
    return [message.reply.native or _echo(message.reply)]


def _echo(reply: Reply) -> dict[str, Any]:
    calls = [{"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.raw}} for c in reply.calls]
    return {"role": "assistant", "content": reply.text or None} | ({"tool_calls": calls} if calls else {})


def _reply(found: dict[str, Any]) -> Reply:
    choices = found.get("choices") or []
    if not choices or not choices[0].get("message"):
        raise ModelError("the server answered without a message; is it an OpenAI-compatible one?")
    message = choices[0]["message"]
    calls = tuple(_call(call) for call in message.get("tool_calls") or ())
    stop = "refused" if message.get("refusal") else _STOPS.get(choices[0].get("finish_reason") or "", "other")
    kept = {k: message[k] for k in ("content", "tool_calls") if message.get(k)}
    native = {"role": "assistant", "content": None} | kept
    text = message.get("refusal") or message.get("content") or ""
    return Reply(str(text), calls, stop, _usage(found.get("usage")), str(found.get("model") or ""), native)


def _call(call: dict[str, Any]) -> ToolCall:
    function = call.get("function") or {}
    raw = function.get("arguments") or ""
    try:
        arguments = json.loads(raw or "{}")
    except (ValueError, RecursionError):
        arguments = None
    return ToolCall(
        str(call.get("id") or ""),
        str(function.get("name") or ""),
        arguments if isinstance(arguments, dict) else None,
        str(raw),
    )


def _usage(found: dict[str, Any] | None) -> TokenUsage | None:
    if not found:
        return None
    cached = (found.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return TokenUsage(found.get("prompt_tokens") or 0, found.get("completion_tokens") or 0, cached, 0)


def _client(settings: ModelSettings) -> Any:
    import openai

    return openai.OpenAI(
        api_key=key_of("OPENAI_API_KEY", settings),
        base_url=settings.base_url or None,
        timeout=settings.timeout_s,
        max_retries=settings.retries,
    )


@contextmanager
def _named_errors(settings: ModelSettings) -> Iterator[None]:
    import openai

    try:
        yield
    except (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError) as error:
        raise Unreachable(f"no reply from {settings.base_url or 'OpenAI'}: {error}") from error
    except openai.APIStatusError as error:
        raise Rejected(f"{settings.base_url or 'OpenAI'} rejects the request: {error}") from error
    except openai.OpenAIError as error:
        raise ModelError(f"no reply: {error}") from error


def make(model: str, settings: ModelSettings) -> OpenAIModel:
    """A client; UsageError without a key."""
    return OpenAIModel(model, settings)


def check(model: str, settings: ModelSettings) -> None:
    """Ask the server which models it has. One that does not say is believed."""
    import openai

    where = settings.base_url or "OpenAI"
    try:
        with _client(replace(settings, retries=0, timeout_s=20)) as client:
            known = [found.id for found in client.models.list()]
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        raise UsageError(f"{where} does not take the key in OPENAI_API_KEY: {error}") from error
    except openai.APIConnectionError as error:
        raise UnavailableError(f"no server answers at {where}: {error}; start it, or correct --base-url") from error
    except openai.OpenAIError:
        return
    if known and model not in known:
        raise UsageError(f"{where} has no model {model!r}; it has {', '.join(sorted(known)[:12])}")
