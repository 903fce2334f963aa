"""A language model as a judge or simulator: what a scorer asks becomes a conversation of one
message.

One that gives no reply leaves a failure of that score, which can be asked for again.
"""

from __future__ import annotations

from ...evals.judge.protocol import ChatAnswer, ChatRequest, JudgeError, Usage
from ..runlog.log import canonical
from .conversation import LanguageModel, Request, UserMessage
from .errors import ModelError
from .paid_calls import usage_fields
from .prices import Price

ROOM = 2048
"""Tokens of answer beside those that the scorer needs: a model that thinks is cut off without. Unused ones are free."""


class LanguageModelJudge:
    """A `evals.judge.protocol.Chat` over a language model.

    Args:
        price: of the model; without it no dollars are counted.
        logprobs: whether to ask for log-probabilities where a scorer uses them; some models refuse such a request.
    """

    def __init__(
        self, model: LanguageModel, price: Price | None = None, *, logprobs: bool = False
    ) -> None:
        self._model, self._price, self._logprobs = model, price, logprobs

    def ask(self, request: ChatRequest) -> ChatAnswer:
        """The model's words; JudgeError when there are none."""
        asked = Request(
            request.system,
            (UserMessage(request.user),),
            max_tokens=request.max_tokens + ROOM,
            prompt=request.prompt,
            logprobs=self._logprobs and request.logprobs,
        )
        try:
            reply = self._model.reply(asked)
        except ModelError as error:
            raise JudgeError(str(error)) from error
        took = usage_fields(reply, canonical(asked.to_json()), self._price)
        usage = Usage(took["input_tokens"] or 0, took["output_tokens"] or 0, took["usd"])
        complete = reply.stop in ("end", "other")
        return ChatAnswer(reply.text, complete, reply.logprobs, usage, took)
