"""The interface of a judge: any chat model, through one method.

A scorer that needs a judge gets a `Chat`. It sends a `ChatRequest` and reads a `ChatAnswer`;
log-probabilities are used if the answer has them, and never required. Clients of providers are in
`agent.llm`; `offline` has judges for tests and programs. A judge that raises, or whose answer
cannot be read twice, is a failure of that score, never a value.

    JudgeError        the judge gave no readable answer: a failure row that can be retried
    Unscorable        nothing to score: too little active text, or a resource is missing
    AnswerPending     the answer will come later, with those of many other requests: score again then
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from ...tools.errors import HubelError

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class JudgeError(HubelError):
    """The judge did not answer, or its answer could not be read, twice.

    Attributes:
        usage: what was paid although there is no answer; None if it is not known.
        unanswered: whether no answer came, so that the same question can be asked again. Else an
            answer is in a journal, and a new attempt must be another question.
    """

    usage: Usage | None = None
    unanswered: bool = False


class Unscorable(HubelError):
    """This scorer has nothing to compute from. That is not the explanation's fault."""


class AnswerPending(Exception):
    """A judge has noted the question, and answers it later, together with many others.

    Whoever scores asks all questions that do not depend on this answer (`answer_each`), waits, and
    scores again.
    """


def answer_each(
    answer: Callable[[Question], Answer], questions: Iterable[Question]
) -> list[Answer]:
    """The answers to questions that do not depend on each other, in their order.

    Raises:
        AnswerPending: an answer will come later. All questions have been asked.
    """
    answers: list[Answer] = []
    pending: AnswerPending | None = None
    for question in questions:
        try:
            answers.append(answer(question))
        except AnswerPending as later:
            pending = later
    if pending is not None:
        raise pending
    return answers


@dataclass(frozen=True)
class ChatRequest:
    """A question to a chat model. `system` is the same for every unit: providers can cache it."""

    system: str
    user: str
    max_tokens: int
    prompt: str
    """Name, version and hash of the prompt file: ``detection@1#0123456789abcdef``."""
    temperature: float = 0.0
    logprobs: bool = False
    """Whether log-probabilities are of use."""

    def to_json(self) -> dict[str, Any]:
        """The JSON that the journal hashes."""
        return asdict(self)


class TokenChoice(NamedTuple):
    """A token of an answer, with the log-probabilities of the likeliest tokens at its place."""

    text: str
    top: Mapping[str, float]


@dataclass(frozen=True)
class Usage:
    """What an answer cost, as its server counted it."""

    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = 0.0
    """None if the price is unknown."""
    calls: int = 1
    """Requests that were sent for it."""


@dataclass(frozen=True)
class ChatAnswer:
    """A chat model's answer."""

    text: str
    complete: bool = True
    """False when it was cut off or refused."""
    logprobs: Sequence[TokenChoice] | None = None
    usage: Usage = field(default_factory=Usage)
    took: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Other details of the call for its row in the log: attempts, waits, cached tokens."""

    def to_json(self) -> dict[str, Any]:
        """The JSON that is journaled."""
        row = asdict(self)
        del row["took"]
        row["logprobs"] = None if self.logprobs is None else [list(t) for t in self.logprobs]
        return row

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ChatAnswer:
        """The inverse of `to_json`."""
        tokens = None if data["logprobs"] is None else [TokenChoice(*t) for t in data["logprobs"]]
        return cls(data["text"], data["complete"], tokens, Usage(**data["usage"]))


class Chat(Protocol):
    """Any chat model."""

    def ask(self, request: ChatRequest) -> ChatAnswer:
        """The answer to one request; raises HubelError if there is none."""
        ...


@dataclass(frozen=True)
class Cost:
    """What a score cost."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = 0.0
    """None if any price is unknown."""

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
    """Wraps a chat and counts its calls."""

    def __init__(self, chat: Chat) -> None:
        self.cost = Cost()
        self._chat = chat
        self._lock = threading.Lock()

    def ask(self, request: ChatRequest) -> ChatAnswer:
        """Ask, and count the call whether or not it is answered."""
        usage = Usage()
        try:
            answer = self._chat.ask(request)
            usage = answer.usage
        except JudgeError as error:
            usage = error.usage or usage
            raise
        finally:
            with self._lock:
                self.cost += Cost(usage.calls, usage.input_tokens, usage.output_tokens, usage.usd)
        return answer
