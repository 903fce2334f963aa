"""A judge whose answers are journaled: written to a run's log before they are used, and never paid for twice."""

from __future__ import annotations

import hashlib
import time

from ..evals.judge import Chat, ChatAnswer, ChatRequest
from .log import RunLog, canonical

EVENT = "llm_call"


class Journaled:
    """Puts the run log between a scorer and its judge.

    Args:
        attempt: answers of another attempt are not used: a score that failed is asked for again.
    """

    def __init__(self, chat: Chat, log: RunLog, target: str, judge: str, attempt: int = 0) -> None:
        self._chat, self._log, self._target, self._judge, self._attempt = chat, log, target, judge, attempt

    def ask(self, request: ChatRequest) -> ChatAnswer:
        """The journal's answer, or the judge's, which is journaled first."""
        asked = {"judge": self._judge, "attempt": self._attempt, "request": request.to_json()}
        key = hashlib.sha256(canonical(asked).encode("utf-8", "surrogatepass")).hexdigest()[:32]
        if (found := self._log.get(EVENT, self._target, key)) is not None:
            return ChatAnswer.from_json(found["answer"])
        started = time.perf_counter()
        answer = self._chat.ask(request)
        spent = {
            "model": self._judge,
            "input_tokens": answer.usage.input_tokens,
            "output_tokens": answer.usage.output_tokens,
            "usd": answer.usage.usd,
            "seconds": round(time.perf_counter() - started, 4),
        }
        row = {"request": asked, "answer": answer.to_json(), **spent}
        self._log.write(EVENT, row, target=self._target, id=key)
        return answer
