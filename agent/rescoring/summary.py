"""Figures over an evaluation: means with coverage, the drop from select to holdout, and sources compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from ...evals.score import Score, Split
from ...evals.statistics.bootstrap import Interval
from ...evals.statistics.paired import Coverage, Paired, compare_means, mean_over_units
from .plan import Evaluation, RescoredTarget


@dataclass(frozen=True)
class ScoreSummary:
    """One kind of score over all targets of a source."""

    source: str
    scorer: str
    text: str
    coverage: Coverage
    mean: Interval | None
    """Over the targets that have it; with an interval over targets."""
    chance: float | None
    drop: Interval | None
    """Mean of select minus holdout, over targets with both."""

    def to_json(self) -> dict[str, Any]:
        """A row."""
        shown = {
            name: None if found is None else found._asdict()
            for name, found in self._intervals().items()
        }
        return {
            "source": self.source,
            "scorer": self.scorer,
            "text": self.text,
            "coverage": self.coverage.to_json(),
            "chance": self.chance,
            **shown,
        }

    def _intervals(self) -> dict[str, Interval | None]:
        return {"mean": self.mean, "drop": self.drop}


@dataclass(frozen=True)
class SourceComparison:
    """Two sources on the targets that both score."""

    a: str
    b: str
    scorer: str
    text: str
    paired: Paired

    def to_json(self) -> dict[str, Any]:
        """A row."""
        return {
            "a": self.a,
            "b": self.b,
            "scorer": self.scorer,
            "text": self.text,
            **self.paired.to_json(),
        }


def score_kinds(evaluations: Sequence[Evaluation]) -> list[tuple[str, str]]:
    """Scorer and text of every score that some target has, in order of appearance."""
    scores = (score for e in evaluations for row in e.rows for score in row.scores)
    return list(dict.fromkeys((score.scorer, score.text) for score in scores))


def score_summaries(evaluation: Evaluation) -> list[ScoreSummary]:
    """A figure a kind of score; a scorer without any score has one too, with its failures."""
    found = [_figure(evaluation, *kind) for kind in score_kinds([evaluation])]
    named = {figure.scorer for figure in found}
    return found + [
        _figure(evaluation, name, "") for name in evaluation.plan.scorers if name not in named
    ]


def _figure(evaluation: Evaluation, scorer: str, text: str) -> ScoreSummary:
    split: Split = _main_split(evaluation)
    scored = [
        (row, score) for row in evaluation.rows if (score := find_score(row, scorer, text, split))
    ]
    both = [
        (s, score)
        for row, score in scored
        if split == "holdout" and (s := find_score(row, scorer, text, "select"))
    ]
    failed = sum(
        row.status == "failed" or _missed(row.failures, scorer, split) for row in evaluation.rows
    )
    chance = [score.floors.chance for _, score in scored if score.floors.chance is not None]
    total = len(evaluation.rows)
    return ScoreSummary(
        evaluation.source.name,
        scorer,
        text,
        Coverage(total, len(scored), failed, total - len(scored) - failed),
        mean_over_units([score.value for _, score in scored]),
        chance[0] if chance else None,
        mean_over_units([select.value - holdout.value for select, holdout in both]),
    )


def _main_split(evaluation: Evaluation) -> Split:
    splits = {split for row in evaluation.rows for split in row.outcomes}
    return "holdout" if "holdout" in splits or not splits else "select"


def _missed(failures: dict[str, str], scorer: str, split: Split) -> bool:
    """Whether the scorer that gives this kind of score failed (`detection.auroc` is given by `detection`)."""
    return any(
        name.rpartition("/")[2] == split and _gives(name.rpartition("/")[0], scorer)
        for name in failures
    )


def _gives(scorer: str, kind: str) -> bool:
    return kind == scorer or kind.startswith(f"{scorer}.")


def find_score(row: RescoredTarget, scorer: str, text: str, split: Split) -> Score | None:
    """A row's score of that kind, or None."""
    return next(
        (s for s in row.scores if (s.scorer, s.text, s.split) == (scorer, text, split)), None
    )


def compare_sources(evaluations: Sequence[Evaluation]) -> list[SourceComparison]:
    """Every two sources, kind by kind, on holdout, over the targets that both score."""
    found = []
    for a, b in combinations(evaluations, 2):
        for kind in score_kinds([a, b]):
            paired = compare_means(_values(a, kind), _values(b, kind))
            if paired.pairs:
                found.append(SourceComparison(a.source.name, b.source.name, *kind, paired))
    return found


def _values(evaluation: Evaluation, kind: tuple[str, str]) -> dict[str, float]:
    split = _main_split(evaluation)
    found = {row.explanation.target: find_score(row, *kind, split) for row in evaluation.rows}
    return {target: score.value for target, score in found.items() if score}
