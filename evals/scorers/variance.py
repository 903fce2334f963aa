"""How much of the activations a prediction explains: variance and absolute deviation.

Bills et al. 2023 report them beside r; they divide by the mean square (mean absolute value) of the
activations, which rewards knowing that a neuron is mostly near zero. Here, as in scikit-learn's
`r2_score` and `d2_absolute_error_score`:

- `simulation.ev`:  1 - sum (y - x)^2 / sum (y - mean y)^2
- `simulation.ad`:  1 - sum |y - x| / sum |y - median y|

over every token of the split but position 0; x predicted, y true. `.calibrated`: after x -> a + b
x, fitted by least squares on explore, never on the text that is scored (Bills et al. calibrate,
too); only if the caller gives the prediction on explore (`ScoringTask.calibration`). r ignores the
scale, these do not: a prediction with the right shape and the wrong size loses. They can be far
below 0.

A constant scores exactly 0, whatever the constant. So does a text without any variation.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ..score import Floors, Score
from ..statistics.bootstrap import Interval, bootstrap
from ..statistics.correlation import group_sums, pearson, standardise
from ..statistics.sample import Sample
from .registry import ScoringTask, scorer


@scorer("simulation.ev")
def variance_explained(task: ScoringTask) -> list[Score]:
    """Share of the variance that is explained, raw and calibrated."""
    return _scores("simulation.ev", task, 2)


@scorer("simulation.ad")
def deviation_explained(task: ScoringTask) -> list[Score]:
    """Share of the absolute deviation from the median that is explained, raw and calibrated."""
    return _scores("simulation.ad", task, 1)


def _scores(name: str, task: ScoringTask, power: int) -> list[Score]:
    task.require_prediction()
    samples = {name: task.sample}
    if task.calibration is not None:
        predicted = calibrate(task.sample.predicted, task.calibration)
        samples[f"{name}.calibrated"] = task.sample.with_prediction(predicted)
    floors = _floors(task, power)
    return [
        Score(kind, task.split, "random", *share_explained(sample, power, task.seed), floors)
        for kind, sample in samples.items()
    ]


def share_explained(sample: Sample, power: int, seed: int = 0) -> Interval:
    """1 - loss / loss of the best constant, with its interval over documents.

    Args:
        power: of the error: 2 for variance, 1 for absolute deviation.
    """
    true, predicted, mask = sample.true, sample.predicted, sample.mask
    if not (standardise(predicted, mask).any() and standardise(true, mask).any()):
        end = None if len(np.unique(sample.unit)) < 2 else 0.0
        return Interval(0.0, end, end)
    centre = float((np.mean if power == 2 else np.median)(true[mask]))
    loss = np.where(mask, np.abs(true - predicted) ** power, 0.0).sum(axis=1)
    base = np.where(mask, np.abs(true - centre) ** power, 0.0).sum(axis=1)
    sums = group_sums(np.stack([loss, base], axis=1), sample.unit)
    smallest = 1e-12 * sums[:, 1].sum()  # below: rounding, not variation

    def statistic(total: np.ndarray) -> np.ndarray:
        varies = total[..., 1] > smallest
        return np.where(varies, 1 - total[..., 0] / np.where(varies, total[..., 1], 1.0), 0.0)

    return bootstrap(sums, statistic, seed, sample.resampling.interval)


def calibrate(
    predicted: Float[np.ndarray, "contexts seq"], explore: Sample
) -> Float[np.ndarray, "other_contexts seq"]:
    """``a + b * predicted`` with a and b by least squares on explore."""
    x, y = explore.predicted[explore.mask], explore.true[explore.mask]
    spread = float(x.std())
    slope = pearson(explore) * float(y.std()) / spread if spread > 0 else 0.0
    return float(y.mean()) + slope * (predicted - float(x.mean()))


def _floors(task: ScoringTask, power: int) -> Floors:
    """What the floor predictions explain; *other* has another unit's scale, so no value."""

    def value(predicted: np.ndarray | None) -> float | None:
        if predicted is None:
            return None
        return share_explained(task.sample.with_prediction(predicted), power).value

    floors = task.floor_predictions
    trivial = [value(predicted) or 0.0 for predicted in floors.trivial.values()]
    return Floors(
        chance=0.0,
        token_lookup=value(floors.token_lookup),
        trivial=max([0.0, *trivial]) if trivial else None,
        list=value(floors.token_list),
    )
