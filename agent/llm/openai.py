"""OpenAI's chat completions, which every compatible server speaks too: vLLM, Ollama, llama.cpp, ...

The SDK does not validate what comes back, so this module does: a reply without a choice is an error,
and a call whose arguments are not JSON has `arguments` None.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

from ...evals.judge.protocol import TokenChoice
from ...evals.judge.reasoning import WithoutReasoning, remove_reasoning, tokens_of_answer
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
from .dialect import REASONING, Dialect
from .ending import ended_at_limit, stop_of, with_ids
from .errors import ModelError, OtherForm, Rejected
from .http_errors import HttpReply, Server, send_once
from .json_values import as_object, as_objects, token_count
from .rate_headers import allowances
from .reply_limits import bounded

PROVIDER, OWN_SERVER = "OPENAI", "https://api.openai.com/v1"
_STOPS: dict[str, Stop] = {
    "stop": "end",
    "tool_calls": "tools",
    "function_call": "tools",
    "length": "length",
    "content_filter": "refused",
}
THINKING_TOKENS = 16_384
"""Tokens added to the answer's own for a model that thinks; they count as output, and unused ones
are free."""
ROUNDING = 1e-3
"""A log-probability may be this far above 0; a larger value is ignored."""
MAX_LOGPROBS = 20
"""Most candidates for each token that the protocol gives."""


class OpenAIConnection:
    """A model behind the chat-completions protocol: a `connection.Connection`."""

    def __init__(self, config: ModelConfig, limits: Limits = USUAL_LIMITS) -> None:
        import openai

        self.name = config.name
        self.place = (config.base_url or "openai", config.model)
        self._config = config
        # Local servers know the old name of the limit, OpenAI's reasoning models only the new one.
        self._dialect = Dialect(new_limit=not config.base_url)
        self.client = openai.OpenAI(**client_options(PROVIDER, config, limits, OWN_SERVER))
        self.server = Server(
            openai, config.base_url or "OpenAI", f"{PROVIDER}_API_KEY", config.model
        )

    def attempt(self, request: Request) -> Received:
        """Send a request once, as a chat completion; OtherForm if the server wants another form."""
        wire = self.wire(request)
        try:
            body, headers = send_once(self.server, lambda: self._post(wire))
        except Rejected as error:
            if self._dialect.learn(str(error), wire):
                raise OtherForm(str(error)) from error
            raise
        return Received(self.read(body, request), allowances(headers))

    def read(self, body: dict[str, Any], request: Request) -> Reply:
        """The reply in the body of an answer; ModelError if there is none."""
        reply = bounded(_reply(body, turn=len(request.messages)))
        return ended_at_limit(reply, self.most_output(request))

    def most_output(self, request: Request) -> int:
        """Limit of the reply's tokens, as it is sent: those of the answer and those to think with."""
        thinks = self._config.effort or not self._config.base_url
        return request.max_tokens + (THINKING_TOKENS if thinks else 0)

    def models(self) -> HttpReply:
        """The server's list of models: objects with an ``id``, under ``data``. Asking is free."""
        list_models = self.client.models.with_raw_response.list
        return send_once(self.server, lambda: list_models().http_response)

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    def _post(self, wire: Mapping[str, Any]) -> Any:
        """Post through the SDK's method for any endpoint.

        Its method for this endpoint looks for keys to rename in every message and finds none. That
        takes 11 ms of CPU per call, more than all the rest of a call.
        """
        import httpx2

        return self.client.post("/chat/completions", body=wire, cast_to=httpx2.Response)

    def wire(self, request: Request) -> dict[str, Any]:
        """The request as JSON of the chat-completions protocol."""
        messages: list[dict[str, Any]] = [{"role": "system", "content": request.system}]
        for message in request.messages:
            messages += _messages(message)
        if self._config.base_url:
            # llama-cpp-python answers 500 to a message with calls whose content is null.
            messages = [message | {"content": message.get("content") or ""} for message in messages]
        wire: dict[str, Any] = {"model": self._config.model, "messages": messages}
        if request.tools:
            wire["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": t.name,
                        "description": t.description,
                        "parameters": dict(t.parameters),
                    },
                }
                for t in request.tools
            ]
            wire["tool_choice"] = _choice(request.tool_choice)
        if self._config.effort:
            wire["reasoning_effort"] = self._config.effort
        if request.logprobs:
            wire |= {"logprobs": True, "top_logprobs": MAX_LOGPROBS}
        return self._dialect.fitted(wire, self.most_output(request))


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
    calls = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.raw}}
        for c in reply.calls
    ]
    return {"role": "assistant", "content": reply.text or None} | (
        {"tool_calls": calls} if calls else {}
    )


def _reply(body: dict[str, Any], turn: int = 0) -> Reply:
    """The model's reply in a response; ModelError if there is none.

    Args:
        turn: number of messages before it, for the ids of calls that have none.
    """
    choices = as_objects(body.get("choices"))
    message = as_object(choices[0].get("message")) if choices else {}
    usage = _usage(body.get("usage"))
    if not message:
        error = ModelError("the server answered without a message; is it an OpenAI-compatible one?")
        error.usage = usage
        raise error
    listed = with_ids(as_objects(message.get("tool_calls")), turn)
    refusal = message.get("refusal")
    text = _text(refusal or message.get("content"))
    if not text and not listed:
        text = _answer_in_reasoning(message)
    found = remove_reasoning(text)
    reply = Reply(
        found.answer,
        tuple(map(_call, listed)),
        "refused" if refusal else stop_of(choices[0].get("finish_reason"), _STOPS, found),
        usage,
        str(body.get("model") or ""),
        {"role": "assistant", "content": None} | _echoed(message, found, listed),
    )
    tokens = tokens_of_answer(_logprobs(choices[0].get("logprobs")), text, found)
    return replace(reply, logprobs=tuple(tokens) if tokens else None)


def _echoed(
    message: Mapping[str, Any], found: WithoutReasoning, listed: list[dict[str, Any]]
) -> dict[str, Any]:
    """The fields of a message that are sent back with the next request."""
    content = found.answer if found.removed else message.get("content")
    fields = {"content": content, "tool_calls": listed}
    fields |= {name: message.get(name) for name in REASONING}
    return {k: v for k, v in fields.items() if v and isinstance(v, (str, list))}


def _answer_in_reasoning(message: Mapping[str, Any]) -> str:
    """The answer that a server left after the end of the reasoning; "" if there is none."""
    for name in REASONING:
        found = remove_reasoning(_text(message.get(name)))
        if found.removed and not found.unfinished:
            return found.answer
    return ""


def _text(content: object) -> str:
    """The words of a message; some servers give a list of parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in as_objects(content))
    return content if isinstance(content, str) else ""


def _call(call: dict[str, Any]) -> ToolCall:
    function = as_object(call.get("function"))
    raw = function.get("arguments")
    # Some servers send the arguments as an object, not as its JSON.
    text = raw if isinstance(raw, str) else json.dumps(raw or {}, ensure_ascii=False)
    try:
        arguments = json.loads(text or "{}")
    except (ValueError, RecursionError):
        arguments = None
    usable = arguments if isinstance(arguments, dict) else None
    return ToolCall(str(call.get("id") or ""), str(function.get("name") or ""), usable, text)


def _usage(value: object) -> TokenUsage | None:
    usage = as_object(value)
    prompt, completion = (
        token_count(usage.get("prompt_tokens")),
        token_count(usage.get("completion_tokens")),
    )
    if not prompt or completion is None:  # no prompt has 0 tokens: it was not counted
        return None
    cached = token_count(as_object(usage.get("prompt_tokens_details")).get("cached_tokens")) or 0
    return TokenUsage(prompt, completion, min(cached, prompt), 0)


def _logprobs(value: object) -> tuple[TokenChoice, ...] | None:
    tokens = as_objects(as_object(value).get("content"))
    return tuple(TokenChoice(str(t.get("token")), _top(t)) for t in tokens) or None


def _top(token: Mapping[str, Any]) -> dict[str, float]:
    top = [token, *as_objects(token.get("top_logprobs"))]
    return {
        str(t.get("token")): float(p)
        for t in top
        if isinstance(p := t.get("logprob"), (int, float)) and isfinite(p) and p <= ROUNDING
    }


connect = OpenAIConnection
