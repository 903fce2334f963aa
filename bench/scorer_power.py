"""Which scorers can be trusted? Their power to tell a unit's true explanation from another unit's.

1. Each unit is scored twice on the same text: with its own explanation, and with that of another
   unit.
2. The power of a scorer is the AUROC of true against false over all units, resampled by unit. A
   scorer that does not react to the explanation has 0.5, whatever its mean.
3. A unit counts only if both have a score; the others are counted by reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..evals.judge.protocol import Cost
from ..evals.scorers.classification import LabelledExamples, auroc
from ..evals.scorers.registry import ScoringTask
from ..evals.scorers.score_all import Outcome, score_all
from ..evals.statistics.bootstrap import Interval
from ..evals.statistics.paired import Coverage


class ExplanationPair(NamedTuple):
    """A unit's true explanation, and another unit's on the same text."""

    true: ScoringTask
    rival: ScoringTask


@dataclass(frozen=True)
class Power:
    """How well one scorer tells true explanations from false ones."""

    scorer: str
    auroc: Interval | None
    """None without a unit that has both scores."""
    true: float | None
    """Mean value of the true explanations."""
    rival: float | None
    coverage: Coverage
    cost: Cost

    def to_json(self) -> dict[str, Any]:
        """A row of the table of scorers."""
        return {
            "scorer": self.scorer,
            "auroc": None if self.auroc is None else self.auroc._asdict(),
            "true": self.true,
            "rival": self.rival,
            "coverage": self.coverage.to_json(),
            "cost": self.cost.to_json(),
        }


def power(pairs: Sequence[ExplanationPair], scorers: Sequence[str]) -> list[Power]:
    """One row per scorer, in their order."""
    rows = [(score_all(pair.true, scorers), score_all(pair.rival, scorers)) for pair in pairs]
    return [
        _power(name, [(true[i], rival[i]) for true, rival in rows])
        for i, name in enumerate(scorers)
    ]


def _power(scorer: str, outcomes: Sequence[tuple[Outcome, Outcome]]) -> Power:
    both = [(t.value, r.value) for t, r in outcomes if t.value is not None and r.value is not None]
    failed = sum(bool(t.failure or r.failure) for t, r in outcomes)
    cost = sum((o.cost for pair in outcomes for o in pair), Cost())
    coverage = Coverage(len(outcomes), len(both), failed, len(outcomes) - len(both) - failed)
    if not both:
        return Power(scorer, None, None, None, coverage, cost)
    true, rival = np.array(both).T
    units = np.arange(len(both))
    items = LabelledExamples(np.repeat([True, False], len(both)), np.concatenate([units, units]))
    area = auroc(np.concatenate([true, rival]), items)
    return Power(scorer, area, float(true.mean()), float(rival.mean()), coverage, cost)
