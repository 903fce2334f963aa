"""Which scorers can be trusted? Measured on units whose meaning is known.

1. Every decidable planted unit of a finished bench has a true explanation: the suite's words, and
   the noiseless truth as the prediction.
2. It is compared with a false one: *other* is the true explanation of a random other unit, *near*
   that of the unit with the most similar truth. A scorer that is satisfied with the right topic
   fails on near. `bench.scorer_power` gives the AUROC of true against false.
3. *truth*: the rank correlation of score and r_truth over the explanations of the bench's
   explainer. A scorer may tell right from wrong and still not better from worse.
4. Its cost: calls, prompt tokens, and CPU time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..agent.llm.journaled_judge import JournaledJudge
from ..agent.llm.judges import make_judge
from ..agent.rescoring.data import SourceData
from ..agent.rescoring.plan import RescoringPlan
from ..agent.rescoring.scoring_tasks import TaskBuilder
from ..agent.rescoring.sources import open_source
from ..agent.rescoring.tables import Explanation
from ..agent.runlog.log import RunLog, WriterLock
from ..agent.runlog.progress import Reporter
from ..evals.judge.protocol import Chat
from ..evals.scorers.registry import ScoringTask
from ..evals.scorers.score_all import score_all, with_explanation
from ..tools.index.holdout import open_collected_holdout
from ..tools.subject.address import Unit
from .planted_truth import RECOVERED, PlantedResult, cross_scores, rank_correlation
from .scorer_power import ExplanationPair, Power, power

if TYPE_CHECKING:
    from ..tools.subject import PlantedSubject, SuiteUnit


@dataclass(frozen=True)
class ScorerTrust:
    """How far one scorer can be trusted on a suite."""

    scorer: str
    other: Power
    near: Power
    truth: float | None
    """Rank correlation of score and r_truth over the explainer's explanations; None with too few."""
    explained: int
    """Explanations that `truth` is computed from."""
    cpu_seconds: float
    """Mean CPU seconds per score."""

    def to_json(self) -> dict[str, Any]:
        """A row of `summary.scorers`."""
        return {
            "scorer": self.scorer,
            "auroc": None if self.other.auroc is None else self.other.auroc._asdict(),
            "auroc_near": None if self.near.auroc is None else self.near.auroc._asdict(),
            "truth": self.truth,
            "explained": self.explained,
            "true": self.other.true,
            "other": self.other.rival,
            "near": self.near.rival,
            "coverage": self.other.coverage.to_json(),
            "coverage_near": self.near.coverage.to_json(),
            "cost": (self.other.cost + self.near.cost).to_json(),
            "cpu_seconds": self.cpu_seconds,
        }


@dataclass(frozen=True)
class PlantedMeaning:
    """A planted unit with its meaning and its truth on holdout."""

    unit: Unit
    meaning: str
    truth: np.ndarray


def compare_scorers(
    folder: Path,
    subject: PlantedSubject,
    units: Sequence[SuiteUnit],
    results: Sequence[PlantedResult],
    plan: RescoringPlan,
    reporter: Reporter | None = None,
) -> list[ScorerTrust]:
    """One row per scorer of the plan, in its order.

    Args:
        folder: of the bench's finished run; a judge's answers are journaled there.
        results: of the units, from `bench.planted.evaluate`.
    """
    reporter = reporter or Reporter()
    with WriterLock(folder), closing(RunLog(folder)) as log:
        comparison = _ScorerComparison(folder, subject, plan, log, reporter)
        decidable = {row.id for row in results if row.decidable}
        planted = [comparison.planted(unit) for unit in units if unit.id in decidable]
        pairs = comparison.pairs(planted)
        explained = comparison.explained(results)
        rows = []
        for number, name in enumerate(plan.scorers):
            reporter.update("compare", number, len(plan.scorers), unit="scorers", note=name)
            rows.append(_trust(name, pairs, explained))
        reporter.update("compare", len(plan.scorers), len(plan.scorers), unit="scorers")
    return rows


def _trust(
    name: str,
    pairs: dict[str, list[ExplanationPair]],
    explained: Sequence[tuple[Callable[[], ScoringTask], float]],
) -> ScorerTrust:
    started = time.process_time()
    (other,), (near,) = power(pairs["other"], [name]), power(pairs["near"], [name])
    values = [(score_all(make(), [name])[0].value, truth) for make, truth in explained]
    scored_values = [pair for pair in values if pair[0] is not None]
    columns = np.array(scored_values, dtype=np.float64).reshape(-1, 2)
    scored = 2 * (other.coverage.targets + near.coverage.targets) + len(explained)
    seconds = (time.process_time() - started) / max(scored, 1)
    return ScorerTrust(
        name, other, near, rank_correlation(*columns.T), len(columns), round(seconds, 4)
    )


class _ScorerComparison:
    """Makes the scoring tasks of the comparison on the holdout of the bench's run."""

    def __init__(
        self,
        folder: Path,
        subject: PlantedSubject,
        plan: RescoringPlan,
        log: RunLog,
        reporter: Reporter,
    ) -> None:
        self._subject, self._plan, self._log = subject, plan, log
        self._source = open_source(str(folder), folder.parent)
        self._texts = SourceData(self._source, plan, reporter, subject, open_collected_holdout, log)
        self._cases = TaskBuilder(self._source, plan, self._texts)
        self._judge = make_judge(plan.judge)

    def planted(self, unit: SuiteUnit) -> PlantedMeaning:
        """A unit of the suite with its truth."""
        address = self._subject.address_by_id[unit.id]
        return PlantedMeaning(
            address, unit.meaning, self._subject.truth(address, self._texts.split("holdout").tokens)
        )

    def pairs(self, planted: Sequence[PlantedMeaning]) -> dict[str, list[ExplanationPair]]:
        """Each unit under its true explanation and under a false one: any other unit's, and the most similar one's."""
        others, nears = rivals_of(planted, self._texts.split("holdout").mask, self._source.seed)
        bases = [self._base(unit) for unit in planted]
        trues = [self._under(base, unit) for base, unit in zip(bases, planted, strict=True)]
        return {
            kind: [
                ExplanationPair(true, self._under(base, planted[rival]))
                for true, base, rival in zip(trues, bases, rivals, strict=True)
                if rival is not None
            ]
            for kind, rivals in (("other", others), ("near", nears))
        }

    def explained(
        self, results: Sequence[PlantedResult]
    ) -> list[tuple[Callable[[], ScoringTask], float]]:
        """The explainer's explanations as scoring tasks, each with its r_truth."""
        explanations = {e.target: e for e in self._source.explanations}
        return [
            (
                lambda e=explanations[row.target]: self._cases.build(
                    e, "holdout", self._chat(e.target)
                ),
                row.r_truth,
            )
            for row in results
            if row.r_truth is not None and row.target in explanations
        ]

    def _base(self, unit: PlantedMeaning) -> ScoringTask:
        target = str(unit.unit)
        return self._cases.build(Explanation(target, unit.meaning), "holdout", self._chat(target))

    def _under(self, base: ScoringTask, unit: PlantedMeaning) -> ScoringTask:
        def predict(tokens: np.ndarray, length: np.ndarray) -> np.ndarray:
            del length  # the truth is 0 on padding
            return self._subject.truth(unit.unit, tokens)

        return with_explanation(base, unit.meaning, unit.truth, predict)

    def _chat(self, target: str) -> Chat | None:
        return (
            None
            if self._judge is None
            else JournaledJudge(self._judge, self._log, target, self._plan.judge.name)
        )


def rivals_of(
    planted: Sequence[PlantedMeaning], mask: np.ndarray, seed: int
) -> tuple[list[int | None], list[int | None]]:
    """For each unit the places of a random other unit, and of the one with the most similar truth.

    None without another unit. A unit whose truth would count as recovered (r of 0.7) is not a false
    explanation.
    """
    truths = [unit.truth for unit in planted]
    alike = cross_scores(truths, truths, mask) if planted else np.zeros((0, 0))
    wrong = alike < RECOVERED
    np.fill_diagonal(wrong, False)
    rng = np.random.default_rng([seed, 7])
    others: list[int | None] = []
    nears: list[int | None] = []
    for row, allowed in zip(alike, wrong, strict=True):
        places = np.flatnonzero(allowed)
        others.append(int(rng.choice(places)) if len(places) else None)
        nears.append(int(places[row[places].argmax()]) if len(places) else None)
    return others, nears
