"""Do verdicts depend on where activations come from? The same run twice, from the activation store and
from a pass of the subject.

The store rounds the input of each MLP to its format, so that activations differ by about a rounding,
and figures that hang on a threshold may differ by more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...agent.runlog.layout import COLLECTED
from ...agent.runlog.verdict_score import verdict_score
from ...agent.runlog.views import TargetRow, target_rows
from ...tools.dissection import Predicate
from ...tools.index import Collected
from ...tools.subject.address import Unit
from .rows import SpeedRow
from .run import time_run

if TYPE_CHECKING:
    from pathlib import Path

    from .speed_bench import SpeedBench

TARGETS = "mlp.*~15@16,head.*~5@16"


def verdicts(bench: SpeedBench) -> Iterator[SpeedRow]:
    """Two runs, and what differs between them."""
    stored = time_run(bench, bench.index, TARGETS, "verdicts from the store")
    fresh = time_run(bench, bench.index_without_store, TARGETS, "verdicts from a pass")
    folders = [bench.runs / row.name.replace(" ", "-") for row in (stored, fresh)]
    yield stored
    yield replace(fresh, figures={**fresh.figures, **compare_runs(*folders).figures()})


@dataclass(frozen=True)
class RunDifferences:
    """How the results of two runs with the same targets differ.

    Attributes:
        verdicts: targets with another verdict; formulas: with another winning formula. Fitted
            constants (step, rest) follow the activations in their last digit and do not count.
        r: the largest difference of a held-out r, of targets with the same formula.
        activation: the largest difference of a collected activation, over the largest activation of
            its unit.
    """

    targets: int
    verdicts: list[str]
    formulas: list[str]
    r: float
    activation: float

    def figures(self) -> dict[str, float]:
        """For a row of the bench."""
        return {
            "targets": self.targets,
            "verdicts_differ": len(self.verdicts),
            "formulas_differ": len(self.formulas),
            "largest_difference_of_r": self.r,
            "largest_difference_of_an_activation": self.activation,
        }


def compare_runs(first: Path, second: Path) -> RunDifferences:
    """Compare two finished runs, target by target."""
    ours, theirs = _rows_by_target(first), _rows_by_target(second)
    assert ours.keys() == theirs.keys()
    other_verdicts = [name for name in ours if ours[name]["verdict"] != theirs[name]["verdict"]]
    other_formulas = [name for name in ours if _terms(ours[name]) != _terms(theirs[name])]
    same_formulas = [name for name in ours if name not in other_formulas]
    return RunDifferences(
        len(ours),
        other_verdicts,
        other_formulas,
        max((_score_difference(ours[name], theirs[name]) for name in same_formulas), default=0.0),
        max(_activation_difference(first, second, name) for name in ours),
    )


def _score_difference(row: TargetRow, other: TargetRow) -> float:
    """The difference of two held-out r; 0 where one is missing."""
    score, other_score = verdict_score(row), verdict_score(other)
    return abs(score["value"] - other_score["value"]) if score and other_score else 0.0


def _rows_by_target(run: Path) -> dict[str, TargetRow]:
    return {row["target"]: row for row in target_rows(run)}


def _terms(row: TargetRow) -> tuple[object, ...] | None:
    return Predicate.parse(row["predicate"]).terms if row["predicate"] else None


def _activation_difference(first: Path, second: Path, target: str) -> float:
    """The largest difference on explore and select, over the unit's largest activation there."""
    unit, largest, difference = Unit.parse(target).unsided, 0.0, 0.0
    for split in ("explore", "select"):
        collected = [Collected.open(run / COLLECTED, split) for run in (first, second)]
        mask = collected[0].mask
        values = [np.asarray(c.activations(unit), np.float64)[mask] for c in collected]
        largest = max(largest, float(np.abs(values[1]).max(initial=0.0)))
        difference = max(difference, float(np.abs(values[0] - values[1]).max(initial=0.0)))
    return difference / largest if largest else 0.0
