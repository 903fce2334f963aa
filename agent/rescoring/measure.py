"""What is measured of one explanation: its scores, r by parts of another corpus, and what a verdict on an
imported one rests on.

It depends on the explanation, the text and the work alone, not on a log: which scores are wanted is
known before (`evaluation_log`), so that any process can measure (`score_piece`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ...evals.judge.protocol import Chat, answer_each
from ...evals.score import Split
from ...evals.scorers.llm_simulation import simulate_both_texts
from ...evals.scorers.score_all import Outcome, score_all
from ...evals.scorers.simulation import Evidence, evidence_for_verdict
from ...evals.verdict import TargetResult
from .leaks import Leaks
from .scoring_tasks import TaskBuilder, without_leaks
from .second_opinion import dealt_result
from .tables import Explanation
from .transfer import PartScore


class SplitWork(NamedTuple):
    """The scorers that are wanted on a split.

    Attributes:
        attempt: answers of a judge to earlier attempts are not used.
    """

    split: Split
    scorers: tuple[str, ...]
    attempt: int = 0


@dataclass(frozen=True)
class Work:
    """What to measure of one explanation.

    Attributes:
        kept: scorers whose scores on holdout are known already.
        kept_attempt: the attempt of the simulator's answers on holdout, if they are kept.
    """

    splits: tuple[SplitWork, ...]
    kept: tuple[str, ...] = ()
    kept_attempt: int = 0


class Measured(NamedTuple):
    """What was measured of one explanation.

    Attributes:
        outcomes: one for each scorer that was wanted, by split.
        transfer: r by part of another corpus.
        leaks, evidence, dealt: of an imported explanation (`plan.RescoredTarget`).
    """

    outcomes: dict[Split, list[Outcome]]
    transfer: Sequence[PartScore] = ()
    leaks: Leaks | None = None
    evidence: Evidence | None = None
    dealt: TargetResult | None = None


class Readers(NamedTuple):
    """The models that read explanations. Without a judge every decision is the predicate's."""

    judge: Chat | None = None
    simulator: Chat | None = None


def _nobody(_attempt: int) -> Readers:
    return Readers()


def measure(
    tasks: TaskBuilder,
    explanation: Explanation,
    work: Work,
    readers: Callable[[int], Readers] = _nobody,
) -> Measured:
    """Do the work on one explanation.

    Args:
        readers: who is asked in an attempt of that number.

    Raises:
        AnswerPending: a judge answers later.
    """
    leaks = tasks.leaks(explanation)

    def outcomes(wanted: SplitWork) -> list[Outcome]:
        if not wanted.scorers:
            return []
        judge, simulator = readers(wanted.attempt)
        task = replace(tasks.build(explanation, wanted.split, judge), simulator=simulator)
        if wanted.split == "holdout":
            task = without_leaks(task, leaks)
        return score_all(task, wanted.scorers)

    scored = answer_each(outcomes, work.splits)
    by_split: dict[Split, list[Outcome]] = {
        wanted.split: each for wanted, each in zip(work.splits, scored, strict=True)
    }
    transfer = tasks.transfer(explanation)
    if leaks is None:
        return Measured(by_split, transfer)
    evidence = _evidence(tasks, explanation, work, leaks, by_split.get("holdout", ()), readers)
    wrong = tasks.deal(explanation, leaks)
    dealt = None if wrong is None else dealt_result(wrong, explanation.target)
    return Measured(by_split, transfer, leaks, evidence, dealt)


def _evidence(
    tasks: TaskBuilder,
    explanation: Explanation,
    work: Work,
    leaks: Leaks,
    outcomes: Sequence[Outcome],
    readers: Callable[[int], Readers],
) -> Evidence | None:
    """What the verdict on an imported explanation rests on in addition to its scores."""
    scored = {outcome.scorer for outcome in outcomes if outcome.scores}
    task = without_leaks(tasks.build(explanation, "holdout"), leaks)
    if explanation.predicate is not None and "simulation" in scored.union(work.kept):
        return evidence_for_verdict(task)
    if explanation.predicate is None and "llm_simulation" in scored.union(work.kept):
        attempts = [wanted.attempt for wanted in work.splits if wanted.split == "holdout"]
        attempt = attempts[0] if "llm_simulation" in scored else work.kept_attempt
        # The same request as before: every answer is in the journal.
        simulator = readers(attempt).simulator
        return evidence_for_verdict(simulate_both_texts(replace(task, simulator=simulator)).random)
    return None
