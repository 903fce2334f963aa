"""A judge or simulator with the run's journal and budget in front (`paid_calls`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ...evals.judge.protocol import Chat, ChatAnswer, ChatRequest, JudgeError
from ..runlog.journal import request_hash
from ..runlog.log import Data, RunLog
from .paid_calls import PaidCalls
from .reply_limits import bounded_json

if TYPE_CHECKING:
    from .budget import Budget

Role = Literal["judge", "simulator"]


class JournaledJudge:
    """A `Chat` whose answers are journaled and paid for once.

    Args:
        chat: the model; None where there is only the journal, as in a replay.
        target: what the scores are of.
        name: of the model.
        attempt: answers of another attempt are not used: a score that failed is asked for again.
        budget: None admits everything.
    """

    def __init__(
        self,
        chat: Chat | None,
        log: RunLog,
        target: str,
        name: str,
        attempt: int = 0,
        role: Role = "judge",
        budget: Budget | None = None,
    ) -> None:
        self._chat, self._target, self._name = chat, target, name
        self._attempt, self._role = attempt, role
        self._calls = PaidCalls(log, budget)

    def ask(self, request: ChatRequest) -> ChatAnswer:
        """The journal's answer, or a new one.

        Raises:
            JudgeError: there is no answer.
            BudgetReached: the budget admits no further call.
        """
        request_json = {
            "judge": self._name,
            "attempt": self._attempt,
            "request": request.to_json(),
        }

        def call() -> Data:
            answer = self._answer(request)
            return {
                "request": bounded_json(request_json),
                "answer": bounded_json(answer.to_json()),
                "prompt": request.prompt,
                "model": self._name,
                "role": self._role,
                "input_tokens": answer.usage.input_tokens,
                "output_tokens": answer.usage.output_tokens,
                "usd": answer.usage.usd,
                **answer.took,
            }

        row = self._calls.row(self._target, request_hash(request_json), call)
        return ChatAnswer.from_json(row["answer"])

    def _answer(self, request: ChatRequest) -> ChatAnswer:
        if self._chat is None:
            raise JudgeError(
                f"the journal holds no answer of {self._name} to this request ({request.prompt})"
            )
        return self._chat.ask(request)
