"""Score one explanation by several scorers, so that one failure does not cost the others.

    outcomes = score_all(task, ["simulation", "detection", "fuzzing"])

An outcome has scores, or the reason why there are none: a *failure* (the judge did not answer, or
its answer could not be read: score again later) or a *skip* (nothing to score, or the scorer lacks
a resource). Neither is ever a number. `with_explanation` makes the task of another unit's
explanation on the same text, to measure how well a scorer tells the true one from it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from ..judge.protocol import (
    Chat,
    ChatAnswer,
    ChatRequest,
    Cost,
    CountingChat,
    JudgeError,
    Unscorable,
    Usage,
    answer_each,
)
from ..score import Score
from .registry import Scorer, ScoringTask, get_scorer
from .resources import PredictTokens


@dataclass(frozen=True)
class Outcome:
    """The result of one scorer."""

    scorer: str
    scores: tuple[Score, ...] = ()
    failure: str = ""
    """Why the score failed; it can be scored again."""
    skipped: str = ""
    """Why there is nothing to score."""
    cost: Cost = field(default_factory=Cost)
    unanswered: bool = False
    """Of a failure: whether an answer never came (`JudgeError`)."""

    @property
    def value(self) -> float | None:
        """The scorer's first and main value."""
        return self.scores[0].value if self.scores else None

    def to_json(self) -> dict[str, Any]:
        """A row for a log."""
        return {
            "scorer": self.scorer,
            "scores": [score.to_json() for score in self.scores],
            "failure": self.failure,
            "skipped": self.skipped,
            "cost": self.cost.to_json(),
            **({"unanswered": True} if self.unanswered else {}),
        }


def score_all(task: ScoringTask, scorers: Sequence[str]) -> list[Outcome]:
    """An outcome for each scorer, in their order. A request that two scorers share is sent once.

    Raises:
        UsageError: a scorer is unknown.
        AnswerPending: a judge answers later; all scorers have asked what they could.
    """
    functions = [(name, get_scorer(name)) for name in scorers]
    chat, simulator = (chat and _CachedChat(chat) for chat in (task.chat, task.simulator))
    task = replace(task, chat=chat, simulator=simulator)
    return answer_each(lambda named: _outcome(named[0], named[1], task), functions)


def _outcome(name: str, function: Scorer, task: ScoringTask) -> Outcome:
    chat = CountingChat(task.chat) if task.chat else None
    simulator = CountingChat(task.simulator) if task.simulator else None
    unanswered = False
    try:
        scores, failure, skipped = function(replace(task, chat=chat, simulator=simulator)), "", ""
    except JudgeError as error:
        scores, failure, skipped, unanswered = [], str(error), "", error.unanswered
    except Unscorable as error:
        scores, failure, skipped = [], "", str(error)
    cost = sum((counted.cost for counted in (chat, simulator) if counted), Cost())
    return Outcome(name, tuple(scores), failure, skipped, cost, unanswered)


def with_explanation(
    task: ScoringTask,
    explanation: str,
    predicted: Float[np.ndarray, "contexts seq"] | None,
    predict: PredictTokens | None = None,
) -> ScoringTask:
    """The same text and truth under another explanation."""
    sample = task.sample if predicted is None else task.sample.with_prediction(predicted)
    resources = replace(task.resources, predict=predict)
    return replace(
        task,
        sample=sample,
        explanation=explanation,
        predicts=predicted is not None,
        parts=None,
        calibration=None,
        resources=resources,
    )


class _CachedChat:
    """Sends the same request once. A cached answer costs nothing."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._answers: dict[ChatRequest, ChatAnswer] = {}
        self._lock = threading.Lock()

    def ask(self, request: ChatRequest) -> ChatAnswer:
        with self._lock:
            if cached := self._answers.get(request):
                return replace(cached, usage=Usage(calls=0))
        answer = self._chat.ask(request)
        with self._lock:
            self._answers[request] = answer
        return answer
