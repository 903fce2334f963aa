"""A judge or simulator with the run's journal and budget in front (`paid_calls`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from ...evals.judge.protocol import Chat, ChatAnswer, ChatRequest, JudgeError, Usage
from ..runlog.events import LLM_REQUEST
from ..runlog.journal import request_hash
from ..runlog.log import Data, RunLog
from .batches.batched_judge import BatchedJudge
from .judge_adapter import LanguageModelJudge
from .meter import Payer, RequestMeter
from .paid_calls import PaidCalls
from .reply_limits import bounded_json

if TYPE_CHECKING:
    from .budget import Budget

Role = Literal["judge", "simulator"]


class JournaledJudge:
    """A `Chat` whose answers are journaled and paid for once.

    Args:
        chat: the model; None where there is only the journal, as in a replay. A model that is asked
            in batches answers later (`batches`).
        target: what the scores are of.
        name: of the model.
        attempt: answers of another attempt are not used: a score that failed is asked for again.
        budget: None admits everything.
    """

    def __init__(
        self,
        chat: Chat | BatchedJudge | None,
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
            AnswerPending: the answer will come in a batch.
            BudgetReached: the budget admits no further call.
        """
        request_json = {
            "judge": self._name,
            "attempt": self._attempt,
            "request": request.to_json(),
        }

        def row_of(answer: ChatAnswer) -> Data:
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

        chat = self._chat
        price = chat.price if isinstance(chat, LanguageModelJudge | BatchedJudge) else None
        key = request_hash(request_json)
        payer = Payer(self._target, key, self._role, self._name, price)
        if isinstance(chat, BatchedJudge) and self._calls.journaled(payer) is None:
            chat.ask_later(payer, request, row_of)
        try:
            row = self._calls.row(payer, lambda meter: row_of(self._answer(request, meter)))
            answer = ChatAnswer.from_json(row["answer"])
        except JudgeError as error:
            error.usage = self._paid(key)
            raise
        return replace(answer, usage=self._paid(key) or answer.usage)

    def _paid(self, key: str) -> Usage | None:
        """What all requests for an answer took; None if the log has none (a program, an old run)."""
        requests = self._calls.log.all(LLM_REQUEST, self._target).values()
        rows = [row for row in requests if row["key"] == key]
        if not rows:
            return None
        prices = [row["usd"] for row in rows]
        return Usage(
            sum(row["input_tokens"] for row in rows),
            sum(row["output_tokens"] for row in rows),
            None if None in prices else sum(prices),
            sum(row["calls"] for row in rows),
        )

    def _answer(self, request: ChatRequest, meter: RequestMeter) -> ChatAnswer:
        if self._chat is None:
            raise JudgeError(
                f"the journal holds no answer of {self._name} to this request ({request.prompt})"
            )
        if isinstance(self._chat, LanguageModelJudge):
            return self._chat.ask(request, meter)
        assert not isinstance(self._chat, BatchedJudge)  # its answers are in the journal by now
        return self._chat.ask(request)
