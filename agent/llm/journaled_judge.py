"""A judge or simulator whose answers are journaled: written to a run's log before they are used,
paid for once.

1. A request is looked up in the journal under its hash.
2. The budget, if there is one, admits the call, or raises BudgetReached.
3. The answer is written to the log, then charged, then used.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any, Literal

from ...evals.judge.protocol import Chat, ChatAnswer, ChatRequest, JudgeError
from ..runlog.events import LLM_CALL
from ..runlog.log import RunLog, canonical
from .journaled_model import plain, spent_by

if TYPE_CHECKING:
    from .budget import Budget

Role = Literal["judge", "simulator"]


class JournaledJudge:
    """Puts the run log between a scorer and whom it asks.

    Args:
        chat: who answers; None where there is only the journal, as in a replay.
        judge: its name.
        attempt: answers of another attempt are not used: a score that failed is asked for again.
        role: for the log.
        budget: what limits the calls.
    """

    def __init__(
        self,
        chat: Chat | None,
        log: RunLog,
        target: str,
        judge: str,
        attempt: int = 0,
        role: Role = "judge",
        budget: Budget | None = None,
    ) -> None:
        self._chat, self._log, self._target, self._judge, self._attempt = (
            chat,
            log,
            target,
            judge,
            attempt,
        )
        self._role, self._budget = role, budget

    def ask(self, request: ChatRequest) -> ChatAnswer:
        """The journal's answer, or a new one, which is journaled first.

        Raises:
            JudgeError: there is no answer.
            BudgetReached: the budget admits no further call.
        """
        asked = {"judge": self._judge, "attempt": self._attempt, "request": request.to_json()}
        key = hashlib.sha256(canonical(asked).encode("utf-8", "surrogatepass")).hexdigest()[:32]
        if (found := self._log.get(LLM_CALL, self._target, key)) is not None:
            return ChatAnswer.from_json(found["answer"])
        return self._pay(request, asked, key)

    def _pay(self, request: ChatRequest, asked: dict[str, Any], key: str) -> ChatAnswer:
        if self._chat is None:
            raise JudgeError(
                f"the journal holds no answer of {self._judge} to this request ({request.prompt})"
            )
        if self._budget is not None:
            self._budget.admit(self._target)
        started = time.perf_counter()
        answer = self._chat.ask(request)
        row = {
            "request": plain(asked),
            "answer": plain(answer.to_json()),
            "prompt": request.prompt,
            "model": self._judge,
            "role": self._role,
            "input_tokens": answer.usage.input_tokens,
            "output_tokens": answer.usage.output_tokens,
            "usd": answer.usage.usd,
            "seconds": round(time.perf_counter() - started, 4),
            **answer.took,
        }
        self._log.write(LLM_CALL, row, target=self._target, id=key)
        if self._budget is not None:
            self._budget.charge(self._target, spent_by(row))
        return ChatAnswer.from_json(row["answer"])
