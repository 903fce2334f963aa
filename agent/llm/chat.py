"""A language model as a judge: what a scorer asks becomes a conversation of one message.

A judge that gives no reply leaves a failure of that score, which `hubel eval --retry-failed` asks for again.
"""

from __future__ import annotations

from ...evals.judge import ChatAnswer, ChatRequest, JudgeError, Usage
from .conversation import LanguageModel, Request, UserMessage
from .errors import ModelError

ROOM = 2048
"""Tokens of answer beside those that the scorer needs: a model that thinks is cut off without. Unused ones are free."""


class Judge:
    """A `evals.judge.Chat` over a language model. No price is known here, so no dollars are counted."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    def ask(self, request: ChatRequest) -> ChatAnswer:
        """The model's words; JudgeError when there are none."""
        asked = Request(
            request.system, (UserMessage(request.user),), max_tokens=request.max_tokens + ROOM, prompt=request.prompt
        )
        try:
            reply = self._model.reply(asked)
        except ModelError as error:
            raise JudgeError(str(error)) from error
        took = reply.usage
        usage = Usage(took.input, took.output, None) if took else Usage(usd=None)
        return ChatAnswer(reply.text, complete=reply.stop in ("end", "other"), usage=usage)
