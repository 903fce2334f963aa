"""How much of the activations a prediction explains, in activation units: variance and absolute
deviation.

Bills et al. 2023 report them beside r; they divide by the mean square (mean absolute value) of the
activations, which rewards knowing that a neuron is mostly near zero. Here, as in scikit-learn's
`r2_score` and `d2_absolute_error_score`:

- `simulation.ev`:  1 - sum (y - x)^2 / sum (y - mean y)^2
- `simulation.ad`:  1 - sum |y - x| / sum |y - median y|

over every token of the split but position 0; x predicted, y true. `.calibrated`: after x -> a + b
x, fitted by least squares on explore, never on the text that is scored (Bills et al. calibrate as
well); only where the caller gives the prediction on explore (`ScoringTask.calibration`). r knows no scale,
these do: a prediction with the right shape and the wrong size loses here. They can be far below 0.

A constant explains nothing: it scores exactly 0, whatever the constant. So does a text without any
variation.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from ..judge.protocol import Unscorable
from ..score import Floors, Score
from ..statistics.bootstrap import Interval, bootstrap
from ..statistics.correlation import group_sums, pearson, standardise
from ..statistics.sample import Sample
from .registry import ScoringTask, scorer


@scorer("simulation.ev")
def variance_explained(task: ScoringTask) -> list[Score]:
    """Share of the variance that is explained, as predicted and calibrated."""
    return _scores("simulation.ev", task, 2)


@scorer("simulation.ad")
def deviation_explained(task: ScoringTask) -> list[Score]:
    """Share of the absolute deviation from the median that is explained, as predicted and calibrated."""
    return _scores("simulation.ad", task, 1)


def _scores(name: str, task: ScoringTask, power: int) -> list[Score]:
    if not task.predicts:
        raise Unscorable("an explanation in words only: there are no predicted activations")
    found = [
        Score(
            name,
            task.split,
            "random",
            *share_explained(task.sample, power, task.seed),
            _floors(task, power),
        )
    ]
    if task.calibration is not None:
        sample = task.sample.with_prediction(calibrate(task.sample.predicted, task.calibration))
        value = share_explained(sample, power, task.seed)
        found.append(
            Score(f"{name}.calibrated", task.split, "random", *value, _floors(task, power))
        )
    return found


def share_explained(sample: Sample, power: int, seed: int = 0) -> Interval:
    """1 - loss / loss of the best constant, loss the ``power`` of the error; with its interval over documents."""
    centre = np.mean if power == 2 else np.median
    middle = float(centre(sample.true[sample.mask]))
    varies = [
        bool(standardise(values, sample.mask).any()) for values in (sample.predicted, sample.true)
    ]
    if not all(varies):
        return (
            Interval(0.0, None, None)
            if len(np.unique(sample.document)) < 2
            else Interval(0.0, 0.0, 0.0)
        )
    loss = np.where(sample.mask, np.abs(sample.true - sample.predicted) ** power, 0.0).sum(axis=1)
    base = np.where(sample.mask, np.abs(sample.true - middle) ** power, 0.0).sum(axis=1)
    sums = group_sums(np.stack([loss, base], axis=1), sample.document)
    smallest = 1e-12 * sums[:, 1].sum()

    def statistic(total: np.ndarray) -> np.ndarray:
        alive = total[..., 1] > smallest
        return np.where(alive, 1 - total[..., 0] / np.where(alive, total[..., 1], 1.0), 0.0)

    return bootstrap(sums, statistic, seed)


def calibrate(
    predicted: Float[np.ndarray, "contexts seq"], explore: Sample
) -> Float[np.ndarray, "other_contexts seq"]:
    """``a + b * predicted`` with a and b by least squares on explore."""
    x, y = explore.predicted[explore.mask], explore.true[explore.mask]
    spread = float(x.std())
    slope = pearson(explore) * float(y.std()) / spread if spread > 0 else 0.0
    return float(y.mean()) + slope * (predicted - float(x.mean()))


def _floors(task: ScoringTask, power: int) -> Floors:
    """What rival predictions explain; all but *other* are in activation units already."""

    def of(predicted: np.ndarray | None) -> float | None:
        return (
            None
            if predicted is None
            else share_explained(task.sample.with_prediction(predicted), power).value
        )

    rivals = task.floor_predictions
    values = [v for p in rivals.trivial.values() if (v := of(p)) is not None]
    return replace(
        Floors(chance=0.0),
        token_lookup=of(rivals.token_lookup),
        trivial=max([0.0, *values]) if values else None,
    )
