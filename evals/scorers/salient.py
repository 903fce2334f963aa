"""Salient: does the explanation pick out the tokens at which the unit is strongest?

1. On each side of 0 that the signal has, the strongest 1 % of the split's tokens (rounded up) are
   salient. Tokens as strong as the last of them all count; a signal of 0 never does.
2. Score of a side: AUROC of the predicted value, salient against all other tokens, ties counting
   half; of the negated prediction on the side below 0. The score is the mean over the sides.
3. Predictions of a formula have few distinct values, so that a resample of documents needs only how
   often each value occurs among the salient tokens and among the rest. A resample without a salient
   token counts as 1/2.

1/2 is chance, and what a constant gets exactly. r is decided by the strongest tokens too, but also by
how strong they are; this asks only which.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ..floors import Prediction
from ..judge.protocol import Unscorable
from ..score import Floors, Score
from ..statistics.bootstrap import bootstrap
from ..statistics.sample import Sample
from .classification import rate
from .coverage import strongest_tokens
from .registry import ScoringTask, scorer

SHARE = 0.01
CHANCE = 0.5


@scorer("salient")
def salient(task: ScoringTask) -> list[Score]:
    """AUROC of the predictions for the strongest 1 % of tokens, mean over the sides."""
    sample, floors = task.require_prediction(), task.floor_predictions
    sides = _salient_tokens(sample)
    if not sides:
        raise Unscorable("no token has a signal other than 0")
    _, document = np.unique(sample.unit[sample.mask.nonzero()[0]], return_inverse=True)
    counts = _level_counts(sample.predicted[sample.mask], sides, document)
    shape = counts.shape[1:]

    def statistic(sums: np.ndarray) -> np.ndarray:
        return _mean_auroc(sums.reshape(-1, *shape))

    flat = counts.reshape(len(counts), -1)
    value = bootstrap(flat, statistic, task.seed, sample.resampling.interval)

    def of_floor(predicted: Prediction) -> float:
        one = np.zeros_like(document)
        return float(_mean_auroc(_level_counts(predicted[sample.mask], sides, one))[0])

    row = Floors(
        chance=CHANCE,
        token_lookup=None if floors.token_lookup is None else of_floor(floors.token_lookup),
        trivial=max([CHANCE, *map(of_floor, floors.trivial.values())]) if floors.trivial else None,
        list=None if floors.token_list is None else of_floor(floors.token_list),
    )
    return [Score("salient", task.split, "random", *value, row)]


class _Side(NamedTuple):
    """The salient tokens of one side, among those that count."""

    sign: int
    is_salient: Bool[np.ndarray, " tokens"]


def _salient_tokens(sample: Sample) -> list[_Side]:
    """The sides that the signal has."""
    count = ceil(SHARE * int(sample.mask.sum()))
    sides = [
        _Side(sign, strongest_tokens(sign * sample.true, sample.mask, count)[sample.mask])
        for sign in (1, -1)
    ]
    return [side for side in sides if side.is_salient.any()]


def _level_counts(
    predicted: Float[np.ndarray, " tokens"],
    sides: Sequence[_Side],
    document: Int[np.ndarray, " tokens"],
) -> Float[np.ndarray, "documents sides 2 levels"]:
    """How many salient and other tokens each document has at each distinct prediction, ascending."""
    levels, level = np.unique(predicted, return_inverse=True)
    shape = (int(document.max()) + 1, 2, len(levels))
    counts = []
    for sign, is_salient in sides:
        upward = level if sign > 0 else len(levels) - 1 - level
        cell = np.ravel_multi_index((document, (~is_salient).astype(int), upward), shape)
        counts.append(np.bincount(cell, minlength=np.prod(shape)).reshape(shape))
    return np.stack(counts, axis=1).astype(np.float64)


def _mean_auroc(
    counts: Float[np.ndarray, "resamples sides 2 levels"],
) -> Float[np.ndarray, " resamples"]:
    """Mean over the sides of how often a salient token is predicted above another one."""
    is_salient, other = counts[:, :, 0], counts[:, :, 1]
    below = np.cumsum(other, axis=-1) - other / 2  # a tie counts half
    pairs = is_salient.sum(axis=-1) * other.sum(axis=-1)
    return rate((is_salient * below).sum(axis=-1), pairs).mean(axis=-1)
