"""A language model as a judge or simulator: a scorer's question becomes a conversation of one message.

Without a reply the score is a failure, which can be retried.
"""

from __future__ import annotations

from ...evals.judge.protocol import ChatAnswer, ChatRequest, JudgeError, Usage
from .conversation import UNMETERED, LanguageModel, Meter, Reply, Request, UserMessage
from .errors import ModelError
from .paid_calls import usage_fields
from .prices import Price

THINKING_TOKENS = 2048
"""Added to the tokens that the scorer needs, so that a model that thinks is not cut off. Unused
ones are free."""


class LanguageModelJudge:
    """A `evals.judge.protocol.Chat` over a language model.

    Args:
        price: of the model; without it no dollars are counted.
        logprobs: whether to ask for log-probabilities where a scorer uses them; some models refuse
            such a request.
    """

    def __init__(
        self, model: LanguageModel, price: Price | None = None, *, logprobs: bool = False
    ) -> None:
        self.price = price
        self._model, self._logprobs = model, logprobs

    def ask(self, request: ChatRequest, meter: Meter = UNMETERED) -> ChatAnswer:
        """The model's answer; JudgeError when there is none.

        Args:
            meter: counts the requests that are sent.
        """
        question = question_of(request, logprobs=self._logprobs, meter=meter)
        try:
            reply = self._model.reply(question)
        except ModelError as error:
            raise JudgeError(str(error)) from error
        return answer_of(reply, question, self.price)


def question_of(request: ChatRequest, *, logprobs: bool, meter: Meter = UNMETERED) -> Request:
    """A scorer's question as a conversation of one message.

    Args:
        logprobs: whether to ask for log-probabilities where the scorer uses them.
    """
    return Request(
        request.system,
        (UserMessage(request.user),),
        max_tokens=request.max_tokens + THINKING_TOKENS,
        prompt=request.prompt,
        logprobs=logprobs and request.logprobs,
        meter=meter,
    )


def answer_of(reply: Reply, question: Request, price: Price | None) -> ChatAnswer:
    """A model's reply as the answer to a scorer's question, with what it cost."""
    fields = usage_fields(reply, question, price)
    usage = Usage(fields["input_tokens"] or 0, fields["output_tokens"] or 0, fields["usd"])
    # A reply that calls tools, which were not offered, is not an answer.
    complete = reply.stop in ("end", "other") and not reply.calls
    return ChatAnswer(reply.text, complete, reply.logprobs, usage, fields)
