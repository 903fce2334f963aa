"""Two runs on the same targets, as the review page compares them: is one better? Everything is paired by target.

Beside `paired`, which serves comparisons of scorers by sign flips, this one stays quick with 100,000 targets.

mean difference    with a percentile interval, targets drawn with replacement (paired bootstrap)
Wilcoxon           signed-rank test of the differences (Wilcoxon 1945; zeros dropped), by scipy
McNemar            of two yes-or-no outcomes: exact, a binomial test on the targets where they differ (McNemar 1947)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .bootstrap import Interval, bootstrap

RESAMPLED = 2_000
"""Values up to which a mean's interval is a bootstrap; of more it is mean plus or minus 1.96 standard errors, which by
then is the same to the third digit and costs no matrix of resamples."""
Values = Sequence[float] | Float[np.ndarray, " n"]
_Z = 1.959963984540054


class Paired(NamedTuple):
    """How much better the second is than the first."""

    mean_difference: float
    low: float | None
    high: float | None
    p: float | None
    """Of the Wilcoxon signed-rank test, two-sided; None when no difference is left."""


class Outcomes(NamedTuple):
    """On how many targets both, one, or neither said yes; p of McNemar's exact test."""

    both: int
    only_first: int
    only_second: int
    neither: int
    p: float | None


def mean_interval(values: Values) -> Interval | None:
    """The mean with its 95 % interval; None without a value."""
    found = np.asarray(values, dtype=np.float64)
    if not len(found):
        return None
    if len(found) > RESAMPLED:
        mean, half = float(found.mean()), _Z * float(found.std(ddof=1)) / len(found) ** 0.5
        return Interval(mean, mean - half, mean + half)
    sums = np.column_stack([found, np.ones(len(found))])
    return bootstrap(sums, lambda total: total[:, 0] / total[:, 1])


def compare_paired(first: Values, second: Values) -> Paired | None:
    """The second minus the first, target by target; None without a target."""
    from scipy.stats import wilcoxon

    differences = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    interval = mean_interval(differences)
    if interval is None:
        return None
    p = float(wilcoxon(differences)[1]) if np.any(differences != 0) else None  # pyright: ignore[reportArgumentType]
    return Paired(interval.value, interval.low, interval.high, p)


def compare_outcomes(first: Sequence[bool], second: Sequence[bool]) -> Outcomes:
    """Yes or no of two, target by target."""
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    counts = [int(np.sum(found)) for found in (a & b, a & ~b, ~a & b, ~a & ~b)]
    return Outcomes(*counts, p=mcnemar(counts[1], counts[2]))


def mcnemar(only_first: int, only_second: int) -> float | None:
    """Exact two-sided p that the two differ in one direction as often as in the other; None when they never differ."""
    from scipy.stats import binomtest

    differ = only_first + only_second
    return float(binomtest(only_first, differ, 0.5).pvalue) if differ else None
