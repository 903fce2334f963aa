"""Who reads a run's sentences: a simulator and a judge, language models of the run's own choice.

Their answers are journaled, admitted and charged by the run's budget, and wait at the same gates as
the explainer's. A score that failed is asked for again under the next attempt, when the run is
resumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...evals.judge.protocol import Chat
from ..runlog.config import RunConfig
from ..runlog.log import RunLog
from .journaled_judge import JournaledJudge, Role

if TYPE_CHECKING:
    from .budget import Budget
    from .retry import Patience

FAILURE = "score_failure"
"""Event of a score that failed; its id is the hypothesis and the scorer."""


class SentenceJudges:
    """The readers of one run.

    Args:
        chats: by role; empty in a replay, where every answer is in the journal.
    """

    def __init__(
        self, config: RunConfig, log: RunLog, chats: Mapping[Role, Chat], budget: Budget | None
    ) -> None:
        self._names: dict[Role, str] = {"simulator": config.simulator, "judge": config.judge}
        self._log, self._chats, self._budget = log, chats, budget

    def has(self, role: Role) -> bool:
        """Whether the run names one."""
        return bool(self._names[role])

    def chat(self, role: Role, target: str, scored: str) -> Chat | None:
        """The reader for a score of a target; None where the run names none.

        Args:
            scored: id of the score, under which its failures are counted.
        """
        if not self.has(role):
            return None
        attempt = int((self._log.get(FAILURE, target, scored) or {"attempts": 0})["attempts"])
        chat = self._chats.get(role)
        return JournaledJudge(
            chat, self._log, target, self._names[role], attempt, role, self._budget
        )

    def failed(self, target: str, scored: str, why: str) -> None:
        """Write down that a score failed."""
        attempts = int((self._log.get(FAILURE, target, scored) or {"attempts": 0})["attempts"]) + 1
        self._log.write(FAILURE, {"why": why, "attempts": attempts}, target=target, id=scored)


def make_readers(
    config: RunConfig, log: RunLog, patience: Patience, budget: Budget
) -> SentenceJudges:
    """The readers that a configuration names; UsageError without a key. Nothing is sent."""
    from .judges import make_judge

    asked: tuple[tuple[Role, str, str, Mapping[str, float]], ...] = (
        ("simulator", config.simulator, config.simulator_base_url, config.simulator_price),
        ("judge", config.judge, config.judge_base_url, config.judge_price),
    )
    chats: dict[Role, Chat] = {}
    for role, name, where, price in asked:
        chat = make_judge(name, where, patience, price, logprobs=config.logprobs) if name else None
        if chat is not None:
            chats[role] = chat
    return SentenceJudges(config, log, chats, budget)
