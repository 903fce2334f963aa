"""Score one explanation by several scorers, so that one that fails takes no other with it.

    outcomes = score_all(case, ["simulation", "detection", "fuzzing"])

Each outcome holds scores, or the reason why there are none: a *failure* (the judge did not answer,
or could not be read: score again later) or a *skip* (nothing to score from, or something that the
scorer needs is not there). Neither is ever a number. `rival_of` makes the case of another unit's
explanation on the same text, for a scorer's power to tell the true one from it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from ..judge.protocol import Chat, ChatAnswer, ChatRequest, Cost, Counted, JudgeError, Unscorable
from ..score import Score
from .registry import ScoringTask, get
from .subject_access import Predict


@dataclass(frozen=True)
class Outcome:
    """What one scorer said."""

    scorer: str
    scores: tuple[Score, ...] = ()
    failure: str = ""
    """Why there is no score although there could be: to be scored again."""
    skipped: str = ""
    """Why there cannot be a score here."""
    cost: Cost = field(default_factory=Cost)

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
        }


def score_all(case: ScoringTask, scorers: Sequence[str]) -> list[Outcome]:
    """An outcome for each scorer, in their order. A request that two scorers share is asked once.

    Raises:
        UsageError: a scorer is not known.
    """
    functions = [(name, get(name)) for name in scorers]
    chat, simulator = (chat and _Remembered(chat) for chat in (case.chat, case.simulator))
    case = replace(case, chat=chat, simulator=simulator)
    return [_outcome(name, function, case) for name, function in functions]


def _outcome(name: str, function: Any, case: ScoringTask) -> Outcome:
    chat = Counted(case.chat) if case.chat else None
    simulator = Counted(case.simulator) if case.simulator else None
    try:
        scores, failure, skipped = function(replace(case, chat=chat, simulator=simulator)), "", ""
    except JudgeError as error:
        scores, failure, skipped = [], str(error), ""
    except Unscorable as error:
        scores, failure, skipped = [], "", str(error)
    cost = sum((counted.cost for counted in (chat, simulator) if counted), Cost())
    return Outcome(name, tuple(scores), failure, skipped, cost)


def rival_of(
    case: ScoringTask,
    explanation: str,
    predicted: Float[np.ndarray, "contexts seq"] | None,
    predict: Predict | None = None,
) -> ScoringTask:
    """The same text and truth under another explanation."""
    sample = case.sample if predicted is None else case.sample.with_prediction(predicted)
    lab = replace(case.lab, predict=predict)
    return replace(
        case,
        sample=sample,
        explanation=explanation,
        predicts=predicted is not None,
        calibration=None,
        lab=lab,
    )


class _Remembered:
    """Answers the same request once. An answer from memory costs nothing."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._known: dict[ChatRequest, ChatAnswer] = {}
        self._lock = threading.Lock()

    def ask(self, request: ChatRequest) -> ChatAnswer:
        with self._lock:
            if request in self._known:
                found = self._known[request]
                return ChatAnswer(found.text, found.complete, found.logprobs)
        answer = self._chat.ask(request)
        with self._lock:
            self._known[request] = answer
        return answer
