"""Strength: how strongly does the unit fire where the named concepts hold?

1. The signal is taken from its median, in standard deviations, both of this split.
2. Of each named concept of the formula: the mean over the tokens at which it holds, times the sign of
   its weight. A concept that holds at fewer than five tokens counts 0.
3. Score: the mean over the concepts; 0 for a formula without any. The interval resamples documents;
   median and standard deviation stay as they are.

A direction that means nothing is predicted as well as a neuron, but by common concepts that each move
it a little, where a neuron has some specific triggers (docs/design/tiers.md). Chance is 0: at random
tokens a signal is near its median.
"""

from __future__ import annotations

import numpy as np

from ..score import Floors, Score
from ..statistics.bootstrap import bootstrap
from ..statistics.correlation import group_sums
from .registry import ScoringTask, scorer

MIN_TOKENS = 5
"""At fewer, a mean says nothing about a term."""


@scorer("strength")
def strength(task: ScoringTask) -> list[Score]:
    """Mean activation, in standard deviations from the median, where the named concepts hold."""
    terms, sample = task.require_parts().terms, task.sample
    counted = sample.true[sample.mask].astype(np.float64)
    spread = float(counted.std())
    if not terms or not spread:
        return [Score("strength", task.split, "random", 0.0, 0.0, 0.0, Floors(chance=0.0))]
    distance = (sample.true.astype(np.float64) - np.median(counted)) / spread
    usable = sample.mask.any(axis=1)
    columns: list[np.ndarray] = []
    for term in terms:
        holds = term.holds & sample.mask
        columns += [(term.sign * distance * holds).sum(axis=1), holds.sum(axis=1)]
    sums = group_sums(np.stack(columns, axis=1)[usable], sample.unit[usable])

    def mean_over_terms(total: np.ndarray) -> np.ndarray:
        moved, held = total[..., 0::2], total[..., 1::2]
        return np.where(held >= MIN_TOKENS, moved / np.maximum(held, 1.0), 0.0).mean(axis=-1)

    value = bootstrap(sums, mean_over_terms, task.seed, sample.resampling.interval)
    return [Score("strength", task.split, "random", *value, Floors(chance=0.0))]
