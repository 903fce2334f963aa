"""Coverage (P50@3): at how many of the strongest tokens does the headline hold?

1. The 50 tokens of the split with the largest |signal| are chosen. Tokens as strong as the 50th all
   count, so that there may be more; a signal of 0 is never strong, so that there may be fewer.
2. A token is covered if one of the headline's three terms holds there whose sign agrees with the
   token's: a term with a weight above 0 where the signal is above 0, or both below.
3. Score: the share of the strong tokens that are covered; 0 for a formula without named concepts. The
   interval resamples documents; which tokens are strong stays as it is.
4. Chance: the expected share if the strong tokens, with their signs, lay at random tokens. A term
   that holds nearly everywhere covers nothing beyond it.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from ..judge.protocol import Unscorable
from ..score import Floors, Score
from ..statistics.bootstrap import bootstrap
from ..statistics.correlation import group_sums
from ..statistics.sample import Sample
from .registry import ScoringTask, scorer

STRONGEST = 50


@scorer("coverage")
def coverage(task: ScoringTask) -> list[Score]:
    """Share of the 50 strongest tokens at which a term of the headline holds, with its sign."""
    parts, sample = task.require_parts(), task.sample
    strong = strongest_tokens(np.abs(sample.true), sample.mask, STRONGEST)
    if not strong.any():
        raise Unscorable("no token has a signal other than 0")
    rising, falling = sample.true > 0, sample.true < 0
    covered = strong & ((parts.rises & rising) | (parts.falls & falling))
    usable = sample.mask.any(axis=1)
    columns = np.stack([covered.sum(axis=1), strong.sum(axis=1)], axis=1).astype(np.float64)
    sums = group_sums(columns[usable], sample.unit[usable])

    def share(total: np.ndarray) -> np.ndarray:
        # a resample without a strong token covers none
        return total[..., 0] / np.maximum(total[..., 1], 1.0)

    value = bootstrap(sums, share, task.seed, sample.resampling.interval)
    upward = float(rising[strong].mean())
    chance = upward * _rate(parts.rises, sample) + (1 - upward) * _rate(parts.falls, sample)
    return [Score("coverage", task.split, "random", *value, Floors(chance=chance))]


def _rate(holds: Bool[np.ndarray, "contexts seq"], sample: Sample) -> float:
    return float(holds[sample.mask].mean())


def strongest_tokens(
    strength: Float[np.ndarray, "contexts seq"],
    mask: Bool[np.ndarray, "contexts seq"],
    count: int,
) -> Bool[np.ndarray, "contexts seq"]:
    """Where the ``count`` largest strengths above 0 are, and all that equal the smallest of them."""
    positive = strength[mask & (strength > 0)]
    if not len(positive):
        return np.zeros(mask.shape, dtype=bool)
    count = min(count, len(positive))
    smallest = np.partition(positive, len(positive) - count)[len(positive) - count]
    return mask & (strength >= smallest)
