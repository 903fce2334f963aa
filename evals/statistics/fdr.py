"""Many targets at once: which are discoveries, and how certain is a rate."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from ...tools.errors import UsageError


class Rate(NamedTuple):
    """A share with its interval."""

    value: float
    low: float
    high: float


def benjamini_hochberg(p: Sequence[float], rate: float = 0.05) -> Bool[np.ndarray, " targets"]:
    """Which targets are discoveries, if a share ``rate`` may be false (Benjamini-Hochberg 1995).

    Args:
        p: one for every *registered* target, 1 for those that failed: without the failures the
            rest would look better than they are.
    """
    values = np.asarray(p, dtype=np.float64)
    invalid = values[~((values >= 0) & (values <= 1))]  # ~ finds NaN, too
    if len(invalid):
        raise UsageError(f"p must lie in [0, 1]: got {invalid[0]}")
    # the largest p that is below its line, rate * rank / n, and all smaller ones
    order = np.sort(values)
    passing = np.flatnonzero(order <= rate * np.arange(1, len(order) + 1) / len(order))
    return values <= order[passing[-1]] if len(passing) else np.zeros(len(values), dtype=bool)


def wilson(successes: float, trials: float, z: float = 1.959963984540054) -> Rate:
    """A share with its 95 % score interval (Wilson 1927); 0 to 1 without a trial.

    Trials that depend on each other count as fewer, which need not be a whole number.
    """
    if not 0 <= successes <= trials:
        raise UsageError(
            f"{successes} successes of {trials} trials: expected 0 <= successes <= trials"
        )
    if trials == 0:
        return Rate(0.0, 0.0, 1.0)
    share, weight = successes / trials, z * z / trials
    centre = (share + weight / 2) / (1 + weight)
    half = z * sqrt(share * (1 - share) / trials + weight / (4 * trials)) / (1 + weight)
    return Rate(
        share,
        max(0.0, centre - half) if successes else 0.0,
        min(1.0, centre + half) if successes < trials else 1.0,
    )
