"""The figures at the head of a report: how many, how well, how much lost from select to holdout, over which floors.

Means count every target that has a held-out score, and not only the kept ones; how many have none stands beside them.
Intervals are over targets (bootstrap of the mean), rates have Wilson intervals. Nulls and controls are counted apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from ..evals.bootstrap import Interval, bootstrap
from ..evals.discoveries import Rate, wilson
from ..evals.score import Floors, Score
from .report_data import TargetReport


@dataclass(frozen=True)
class Summary:
    """Figures over some targets of a run."""

    targets: int
    kept: int
    rejected: int
    inconclusive: int
    failed: int
    pending: int
    kept_rate: Rate
    """Of all targets asked for, the failed ones too."""
    scored: int
    r: Interval | None
    """Mean held-out r over the scored; None where nothing is scored."""
    select: Interval | None
    drop: Interval | None
    """Mean of select minus holdout, over targets with both."""
    floors: Floors
    """Mean of each floor over the scored."""

    @property
    def coverage(self) -> float:
        """Share of targets with a held-out score."""
        return self.scored / self.targets if self.targets else 0.0


def summarise(targets: Sequence[TargetReport]) -> Summary:
    """Figures over these targets; ask for units, nulls and controls apart."""
    verdicts = [t.verdict for t in targets if t.status == "done"]
    holdout = [s for t in targets if (s := t.score("holdout"))]
    pairs = [(s, h) for t in targets if (s := t.score("select")) and (h := t.score("holdout"))]
    return Summary(
        targets=len(targets),
        kept=verdicts.count("kept"),
        rejected=verdicts.count("rejected"),
        inconclusive=verdicts.count("inconclusive"),
        failed=sum(t.status == "failed" for t in targets),
        pending=len(targets) - len([t for t in targets if t.status == "failed"]) - _decided(verdicts),
        kept_rate=wilson(verdicts.count("kept"), len(targets)),
        scored=len(holdout),
        r=mean([s.value for s in holdout]),
        select=mean([s.value for s, _ in pairs]),
        drop=mean([s.value - h.value for s, h in pairs]),
        floors=mean_floors(holdout),
    )


def mean(values: Sequence[float]) -> Interval | None:
    """Mean with a 95 % interval over the values, by bootstrap; None without any."""
    if not values:
        return None
    sums = np.column_stack([values, np.ones(len(values))])
    return bootstrap(sums, lambda total: total[:, 0] / total[:, 1])


def mean_floors(scores: Sequence[Score]) -> Floors:
    """Mean of each floor over the scores that have it."""
    known = {f.name: [v for s in scores if (v := getattr(s.floors, f.name)) is not None] for f in fields(Floors)}
    return Floors(**{name: float(np.mean(values)) if values else None for name, values in known.items()})


def _decided(verdicts: Sequence[str | None]) -> int:
    return sum(verdict in ("kept", "rejected", "inconclusive") for verdict in verdicts)
