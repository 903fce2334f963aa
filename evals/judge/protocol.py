"""Who may judge: any chat model, through one method.

A scorer that needs a judge is given a `Chat`. It sends a `ChatRequest` and reads a `ChatAnswer`;
log-probabilities are used where the answer has them and never needed. Clients of providers live in
`agent`; for tests and for programs there are `judges`. A judge that raises, and an answer that
cannot be read twice, is a failure of that score, never a value.

    JudgeError        the judge gave no answer that can be read: a failure row, to be scored again later
    Unscorable        the scorer has nothing to work on: too little active text, or something that it needs is missing
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Protocol

from ...tools.errors import HubelError


class JudgeError(HubelError):
    """The judge did not answer, or twice in a way that cannot be read."""


class Unscorable(HubelError):
    """There is nothing that this scorer could be computed from; no fault of the explanation."""


@dataclass(frozen=True)
class ChatRequest:
    """One question to a chat model. `system` is the same for every unit, so that providers can cache it."""

    system: str
    user: str
    max_tokens: int
    prompt: str
    """Name, version and hash of the prompt file: ``detection@1#0123456789abcdef``."""
    temperature: float = 0.0
    logprobs: bool = False
    """Whether log-probabilities would be used if there are any."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: what a journal hashes."""
        return asdict(self)


class TokenChoice(NamedTuple):
    """A token of an answer, with the log-probabilities of the likeliest tokens at its place."""

    text: str
    top: Mapping[str, float]


@dataclass(frozen=True)
class Usage:
    """What an answer took, as its server counted it."""

    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = 0.0
    """None where the price is not known."""


@dataclass(frozen=True)
class ChatAnswer:
    """A chat model's answer."""

    text: str
    complete: bool = True
    """False when it was cut off or refused."""
    logprobs: Sequence[TokenChoice] | None = None
    usage: Usage = field(default_factory=Usage)
    took: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """What the client tells of the call beside that (attempts, waits, cached tokens): for its row in a log."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, as it is journaled."""
        kept = {name: value for name, value in asdict(self).items() if name != "took"}
        return kept | {
            "logprobs": None if self.logprobs is None else [list(t) for t in self.logprobs]
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ChatAnswer:
        """The inverse of `to_json`."""
        tokens = None if data["logprobs"] is None else [TokenChoice(*t) for t in data["logprobs"]]
        return cls(data["text"], data["complete"], tokens, Usage(**data["usage"]))


class Chat(Protocol):
    """Any chat model."""

    def ask(self, request: ChatRequest) -> ChatAnswer:
        """The answer to one request; raises HubelError when there is none."""
        ...


@dataclass(frozen=True)
class Cost:
    """What a score took."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = 0.0
    """None where some price is not known."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            None if self.usd is None or other.usd is None else self.usd + other.usd,
        )

    def to_json(self) -> dict[str, Any]:
        """All four numbers."""
        return asdict(self)


class CountingChat:
    """A chat that counts: put it round any other."""

    def __init__(self, chat: Chat) -> None:
        self.cost = Cost()
        self._chat = chat
        self._lock = threading.Lock()

    def ask(self, request: ChatRequest) -> ChatAnswer:
        """Ask, and count the call whether or not it is answered."""
        spent = Cost(1)
        try:
            answer = self._chat.ask(request)
            spent = Cost(1, answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.usd)
        finally:
            with self._lock:
                self.cost += spent
        return answer
