"""The language models that read a run's sentences: its simulator and its judge.

Their answers are journaled, admitted and charged by the run's budget, and they wait at the same
gates as the explainer's. A score that failed is asked for again, under the next attempt, when the
run is resumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from ...evals.judge.protocol import Chat
from ..runlog.config import RunConfig
from ..runlog.events import SCORE_FAILURE
from ..runlog.log import RunLog
from ..runlog.model_config import ModelConfig
from ..runlog.progress import Reporter
from .batches.batched_judge import BatchedJudge, make_batched_judge
from .batches.desk import BatchDesk
from .journaled_judge import JournaledJudge, Role

if TYPE_CHECKING:
    from .budget import Budget
    from .retry import Patience


class SentenceJudges:
    """Simulator and judge of one run.

    Args:
        chats: by role; empty in a replay, where every answer is in the journal.
        desk: for judges that are asked in batches.
        batched: by role, those that it serves.
    """

    def __init__(
        self,
        config: RunConfig,
        log: RunLog,
        chats: Mapping[Role, Chat],
        budget: Budget | None,
        desk: BatchDesk | None = None,
        batched: Mapping[Role, BatchedJudge] = MappingProxyType({}),
    ) -> None:
        self._names: dict[Role, str] = {
            "simulator": config.simulator.name,
            "judge": config.judge.name,
        }
        self._log, self._chats, self._budget = log, chats, budget
        self.desk, self._batched = desk, batched

    def has(self, role: Role) -> bool:
        """Whether the run has one."""
        return bool(self._names[role])

    def chat(self, role: Role, target: str, score: str, *, at_once: bool = False) -> Chat | None:
        """The model for a score of a target; None where the run has none.

        Args:
            score: id of the score, under which its failures are counted.
            at_once: whether somebody waits for the answer, who must not wait for a batch.
        """
        if not self.has(role):
            return None
        direct = self._chats.get(role)
        return JournaledJudge(
            direct if at_once else self._batched.get(role, direct),
            self._log,
            target,
            self._names[role],
            self._attempts(target, score),
            role,
            self._budget,
        )

    @property
    def is_full(self) -> bool:
        """Whether so many questions wait for a batch that no further target should be started."""
        return self.desk is not None and self.desk.is_full

    def record_failure(
        self, target: str, score: str, why: str, *, unanswered: bool = False
    ) -> None:
        """Write to the log that a score failed.

        Args:
            unanswered: whether an answer never came, so that the same questions are asked again.
        """
        failure = {"why": why, "attempts": self._attempts(target, score) + (not unanswered)}
        self._log.write(SCORE_FAILURE, failure, target=target, id=score)

    def _attempts(self, target: str, score: str) -> int:
        failure = self._log.get(SCORE_FAILURE, target, score)
        return int(failure["attempts"]) if failure else 0


def make_sentence_judges(
    config: RunConfig,
    log: RunLog,
    patience: Patience,
    budget: Budget,
    reporter: Reporter | None = None,
) -> SentenceJudges:
    """The simulator and the judge of a configuration; UsageError without a key. Nothing is sent."""
    from .judges import make_judge

    models: dict[Role, ModelConfig] = {"simulator": config.simulator, "judge": config.judge}
    chats: dict[Role, Chat] = {}
    for role, model in models.items():
        chat = make_judge(model, patience, logprobs=config.logprobs) if model.name else None
        if chat is not None:
            chats[role] = chat
    if not config.batch:
        return SentenceJudges(config, log, chats, budget)
    desk = BatchDesk(log, budget, patience, reporter or Reporter())
    batched: dict[Role, BatchedJudge] = {
        role: make_batched_judge(model, desk, logprobs=config.logprobs)
        for role, model in models.items()
        if model.is_language_model
    }
    return SentenceJudges(config, log, chats, budget, desk, batched)
