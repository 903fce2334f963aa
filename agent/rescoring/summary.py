"""Means over an evaluation with their coverage, the drop to holdout, and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from ...evals.score import Score, Split
from ...evals.statistics.bootstrap import Interval
from ...evals.statistics.paired import Coverage, Paired, compare_means, mean_over_units
from .plan import Evaluation, RescoredTarget


class ScoreKind(NamedTuple):
    """What makes scores comparable: the scorer's name for it, and the text that it is on."""

    scorer: str
    text: str


@dataclass(frozen=True)
class ScoreSummary:
    """One kind of score over all targets of a source."""

    source: str
    scorer: str
    text: str
    coverage: Coverage
    mean: Interval | None
    """Over the targets that have the score; the interval is over targets."""
    chance: float | None
    drop: Interval | None
    """Mean of select minus holdout, over targets with both."""


@dataclass(frozen=True)
class SourceComparison:
    """Two sources on the targets that both score."""

    a: str
    b: str
    scorer: str
    text: str
    paired: Paired


def score_kinds(evaluations: Sequence[Evaluation]) -> list[ScoreKind]:
    """Every kind of score that some target has, in order of appearance."""
    rows = [row for evaluation in evaluations for row in evaluation.rows]
    return list(dict.fromkeys(ScoreKind(s.scorer, s.text) for row in rows for s in row.scores))


def score_summaries(evaluation: Evaluation) -> list[ScoreSummary]:
    """A summary of each kind of score, and of each scorer that gave none."""
    kinds = score_kinds([evaluation])
    with_scores = {kind.scorer for kind in kinds}
    kinds += [ScoreKind(name, "") for name in evaluation.plan.scorers if name not in with_scores]
    return [_summarise(evaluation, kind) for kind in kinds]


def _summarise(evaluation: Evaluation, kind: ScoreKind) -> ScoreSummary:
    """Mean, chance level and drop of one kind of score over all targets."""
    split = _main_split(evaluation)
    scores: list[Score] = []
    drops: list[float] = []
    failed = 0
    for row in evaluation.rows:
        if score := find_score(row, *kind, split):
            scores.append(score)
            on_select = find_score(row, *kind, "select")
            if split == "holdout" and on_select:
                drops.append(on_select.value - score.value)
        failed += row.status == "failed" or _scorer_failed(row, kind.scorer, split)
    chances = [score.floors.chance for score in scores if score.floors.chance is not None]
    total = len(evaluation.rows)
    return ScoreSummary(
        evaluation.source.name,
        *kind,
        Coverage(total, len(scores), failed, total - len(scores) - failed),
        mean_over_units([score.value for score in scores]),
        chances[0] if chances else None,
        mean_over_units(drops),
    )


def _main_split(evaluation: Evaluation) -> Split:
    """Holdout, unless nothing was scored there."""
    splits = {split for row in evaluation.rows for split in row.outcomes}
    return "holdout" if "holdout" in splits or not splits else "select"


def _scorer_failed(row: RescoredTarget, kind: str, split: Split) -> bool:
    """Whether the scorer of this kind of score failed: `detection` gives `detection.auroc`."""
    failures = (name.rpartition("/") for name in row.failures)
    return any(
        failed_split == split and (kind == scorer or kind.startswith(f"{scorer}."))
        for scorer, _, failed_split in failures
    )


def find_score(row: RescoredTarget, scorer: str, text: str, split: Split) -> Score | None:
    """A row's score of that kind, or None."""
    key = scorer, text, split
    return next((s for s in row.scores if (s.scorer, s.text, s.split) == key), None)


def compare_sources(evaluations: Sequence[Evaluation]) -> list[SourceComparison]:
    """Every two sources, kind by kind, on holdout, over the targets that both score."""
    comparisons = []
    for a, b in combinations(evaluations, 2):
        for kind in score_kinds([a, b]):
            paired = compare_means(_values(a, kind), _values(b, kind))
            if paired.pairs:
                comparisons.append(SourceComparison(a.source.name, b.source.name, *kind, paired))
    return comparisons


def _values(evaluation: Evaluation, kind: ScoreKind) -> dict[str, float]:
    """Score of each target that has one."""
    split = _main_split(evaluation)
    scores = {row.explanation.target: find_score(row, *kind, split) for row in evaluation.rows}
    return {target: score.value for target, score in scores.items() if score}
