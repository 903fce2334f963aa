"""The language models that read a run's sentences: its simulator and its judge.

Their answers are journaled, admitted and charged by the run's budget, and they wait at the same
gates as the explainer's. A score that failed is asked for again, under the next attempt, when the
run is resumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...evals.judge.protocol import Chat
from ..runlog.config import RunConfig
from ..runlog.events import SCORE_FAILURE
from ..runlog.log import RunLog
from .journaled_judge import JournaledJudge, Role

if TYPE_CHECKING:
    from .budget import Budget
    from .retry import Patience


class SentenceJudges:
    """Simulator and judge of one run.

    Args:
        chats: by role; empty in a replay, where every answer is in the journal.
    """

    def __init__(
        self, config: RunConfig, log: RunLog, chats: Mapping[Role, Chat], budget: Budget | None
    ) -> None:
        self._names: dict[Role, str] = {
            "simulator": config.simulator.name,
            "judge": config.judge.name,
        }
        self._log, self._chats, self._budget = log, chats, budget

    def has(self, role: Role) -> bool:
        """Whether the run has one."""
        return bool(self._names[role])

    def chat(self, role: Role, target: str, score: str) -> Chat | None:
        """The model for a score of a target; None where the run has none.

        Args:
            score: id of the score, under which its failures are counted.
        """
        if not self.has(role):
            return None
        return JournaledJudge(
            self._chats.get(role),
            self._log,
            target,
            self._names[role],
            self._attempts(target, score),
            role,
            self._budget,
        )

    def record_failure(self, target: str, score: str, why: str) -> None:
        """Write to the log that a score failed."""
        failure = {"why": why, "attempts": self._attempts(target, score) + 1}
        self._log.write(SCORE_FAILURE, failure, target=target, id=score)

    def _attempts(self, target: str, score: str) -> int:
        failure = self._log.get(SCORE_FAILURE, target, score)
        return int(failure["attempts"]) if failure else 0


def make_sentence_judges(
    config: RunConfig, log: RunLog, patience: Patience, budget: Budget
) -> SentenceJudges:
    """The simulator and the judge of a configuration; UsageError without a key. Nothing is sent."""
    from .judges import make_judge

    roles: tuple[Role, ...] = ("simulator", "judge")
    chats: dict[Role, Chat] = {}
    for role in roles:
        model = config.simulator if role == "simulator" else config.judge
        chat = make_judge(model, patience, logprobs=config.logprobs) if model.name else None
        if chat is not None:
            chats[role] = chat
    return SentenceJudges(config, log, chats, budget)
