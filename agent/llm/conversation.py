"""Requests to a chat model with tools, and its replies, independent of the provider.

A request is a whole conversation: a system part and tools that stay the same, and messages that are
only ever appended. Its JSON is what a run's journal hashes, so that equal requests are paid for once.
Judges ask single questions without tools (`evals.judge.protocol`); `judge_adapter` converts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ...evals.judge.protocol import TokenChoice

Stop = Literal["end", "tools", "length", "refused", "other"]


@dataclass(frozen=True)
class ToolSchema:
    """A tool that the model may call; `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class ToolCall:
    """A call that the model made."""

    id: str
    name: str
    arguments: dict[str, Any] | None
    """None when they could not be read as a JSON object."""
    raw: str = ""
    """The arguments as they came."""


@dataclass(frozen=True)
class TokenUsage:
    """Tokens of one call as the server counted them.

    `input` includes those read from or written to a cache.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    def __mul__(self, times: int) -> TokenUsage:
        return TokenUsage(
            *(times * part for part in (self.input, self.output, self.cache_read, self.cache_write))
        )


@dataclass(frozen=True)
class Wait:
    """Time before an answer came because the server was busy, or its limits were reached."""

    why: str
    seconds: float
    failed: bool = False
    """Whether an attempt had failed; otherwise the call waited at the gate."""


@dataclass(frozen=True)
class Reply:
    """One answer of a model."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    stop: Stop = "end"
    usage: TokenUsage | None = None
    """None when the server does not count."""
    model: str = ""
    native: Any = None
    """The provider's own content (thinking blocks with signatures, ...), sent back unchanged."""
    waits: tuple[Wait, ...] = field(default=(), compare=False)
    """Not part of the JSON: they belong to this call, not to the answer, and are logged separately."""
    logprobs: tuple[TokenChoice, ...] | None = field(default=None, compare=False)
    """Of the text's tokens, if they were requested and the server gives them. Not part of the JSON."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, as it is journaled: all but `waits` and `logprobs`."""
        lasting = {
            name: value for name, value in vars(self).items() if name not in ("waits", "logprobs")
        }
        usage = vars(self.usage) if self.usage else None
        return lasting | {"calls": [vars(call) for call in self.calls], "usage": usage}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Reply:
        """The inverse of `to_json`."""
        return cls(
            text=data["text"],
            calls=tuple(ToolCall(**call) for call in data["calls"]),
            stop=data["stop"],
            usage=TokenUsage(**data["usage"]) if data["usage"] else None,
            model=data["model"],
            native=data["native"],
        )


@dataclass(frozen=True)
class JournaledReply:
    """A language model's reply, and its key in the journal."""

    key: str
    reply: Reply


@dataclass(frozen=True)
class UserMessage:
    """A message of the program."""

    text: str


@dataclass(frozen=True)
class AssistantMessage:
    """An earlier reply of the model."""

    reply: Reply


@dataclass(frozen=True)
class ToolResult:
    """The answer to one tool call."""

    id: str
    text: str
    error: bool = False


@dataclass(frozen=True)
class ToolResults:
    """The answers to all tool calls of the reply before."""

    results: tuple[ToolResult, ...]


Message = UserMessage | AssistantMessage | ToolResults


class SentRequest(Protocol):
    """A request in flight, as a meter sees it; it ends exactly once."""

    def answered(self, reply: Reply) -> None:
        """Record that it was answered with a reply."""
        ...

    def failed(self, error: BaseException) -> None:
        """Record that it ended without a reply."""
        ...


class Meter(Protocol):
    """Counts the requests for one answer, and stops them at a budget's limits (`meter`)."""

    def check(self) -> None:
        """Raise BudgetReached if no request may be sent."""
        ...

    def send(self, request: Request, most_output: int) -> SentRequest:
        """Count a request that is about to be sent; raises BudgetReached.

        Args:
            most_output: limit of the reply's tokens, as it is sent.
        """
        ...


class Unmetered:
    """A meter that counts nothing, for requests outside of any run: also a `SentRequest`."""

    def check(self) -> None:
        """Admit everything."""

    def send(self, request: Request, most_output: int) -> Unmetered:
        """Count nothing."""
        return self

    def answered(self, reply: Reply) -> None:
        """Count nothing."""

    def failed(self, error: BaseException) -> None:
        """Count nothing."""


UNMETERED = Unmetered()


@dataclass(frozen=True)
class Request:
    """What a model is asked."""

    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...] = field(default=())
    max_tokens: int = 4096
    prompt: str = ""
    """Name, version and hash of the prompt file."""
    tool_choice: str = "auto"
    """"auto", "any" (some tool must be called), or a tool's name."""
    logprobs: bool = False
    """Whether to request log-probabilities of the answer's tokens, which some models refuse. Not part of
    the JSON."""
    meter: Meter = field(default=UNMETERED, compare=False, repr=False)
    """Counts the request each time it is sent. Not part of the JSON."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: what a journal hashes."""
        asked = {n: value for n, value in vars(self).items() if n not in ("logprobs", "meter")}
        return asked | {
            "messages": [_message_json(message) for message in self.messages],
            "tools": [vars(tool) for tool in self.tools],
        }


def _message_json(message: Message) -> dict[str, Any]:
    if isinstance(message, UserMessage):
        return {"text": message.text}
    if isinstance(message, ToolResults):
        return {"results": [vars(result) for result in message.results]}
    return {"reply": message.reply.to_json()}


class LanguageModel(Protocol):
    """Any chat model with tools."""

    name: str

    def reply(self, request: Request) -> Reply:
        """The answer to one request; raises ModelError when there is none, after all retries."""
        ...


class Client(LanguageModel, Protocol):
    """A language model with a connection to close."""

    def close(self) -> None:
        """Close the connection."""
        ...
