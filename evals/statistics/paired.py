"""Two explanations of one unit, or two runs on the same units: is one better?

- One unit: `bootstrap.bootstrap_difference` compares two predictions on the same resampled
  documents.
- Many units: each has a score under A and under B. The mean difference with its bootstrap interval
  over units, and a two-sided sign-flip permutation test: under the null, which of the two is called
  A is a coin toss for each unit, so each difference keeps its size and gets a random sign (Fisher
  1935). All patterns up to 13 units, else 9,999 draws; of many units the sum of random signs is
  normal, and no draws are needed.
- Yes or no of each unit (kept or not): McNemar's exact test, a binomial test on the units where the
  two differ (McNemar 1947).
- Coverage stands beside every mean: how many units have a score, how many failed, how many have
  nothing to score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from math import erfc, sqrt
from typing import NamedTuple

import numpy as np

from .bootstrap import Interval, bootstrap

EXACT = 13
DRAWS = 9_999
MANY = 2_000
"""Units from which on intervals and p are those of the normal distribution: the same to the third
digit, and 100,000 units cost no matrix of resamples."""
_Z = 1.959963984540054


@dataclass(frozen=True)
class Coverage:
    """Of how many targets a mean speaks."""

    targets: int
    scored: int
    failed: int = 0
    """The judge gave no answer that can be read, or the target itself failed: can be scored again."""
    skipped: int = 0
    """There is nothing to score."""

    def to_json(self) -> dict[str, int]:
        """All four counts."""
        return asdict(self)

    def __str__(self) -> str:
        parts = [f"{self.scored} of {self.targets} targets"]
        parts += [
            f"{n} {name}"
            for n, name in ((self.failed, "failed"), (self.skipped, "cannot be scored"))
            if n
        ]
        return ", ".join(parts)


class Paired(NamedTuple):
    """A compared with B over the units that both score."""

    pairs: int
    difference: Interval
    """Mean of A minus B, with its interval over units."""
    p: float
    """Two-sided; 1 without a pair."""


def mean_over_units(values: Sequence[float], seed: int = 0) -> Interval | None:
    """Mean with its interval over units; None without any."""
    found = np.asarray(values, dtype=np.float64)
    if not len(found):
        return None
    if len(found) > MANY:
        value, half = float(found.mean()), _Z * float(found.std(ddof=1)) / sqrt(len(found))
        return Interval(value, value - half, value + half)
    sums = np.column_stack([found, np.ones(len(found))])
    return bootstrap(sums, lambda total: total[..., 0] / total[..., 1], seed)


def compare_means(a: Mapping[str, float], b: Mapping[str, float], seed: int = 0) -> Paired:
    """A minus B over the units that have both."""
    both = sorted(set(a) & set(b))
    differences = np.array([a[unit] - b[unit] for unit in both])
    found = mean_over_units(differences.tolist(), seed) or Interval(0.0, None, None)
    return Paired(len(both), found, sign_flip_p(differences, seed))


def sign_flip_p(differences: np.ndarray, seed: int = 0) -> float:
    """Two-sided p that the mean difference is 0."""
    differences = np.asarray(differences, dtype=np.float64)
    if not differences.any():
        return 1.0
    n = len(differences)
    observed = abs(differences.sum())
    tie = 1e-12 * np.abs(differences).sum()
    if n > MANY:
        return erfc(observed / sqrt(2 * float(differences @ differences)))
    if n <= EXACT:
        signs = np.array(list(product((-1.0, 1.0), repeat=n)))
        return float((np.abs(signs @ differences) >= observed - tie).mean())
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), (DRAWS, n))
    return float((1 + (np.abs(signs @ differences) >= observed - tie).sum()) / (1 + DRAWS))


class Outcomes(NamedTuple):
    """On how many units both, one, or neither said yes; p of McNemar's exact test, None when they never differ."""

    both: int
    only_a: int
    only_b: int
    neither: int
    p: float | None


def compare_outcomes(a: Sequence[bool], b: Sequence[bool]) -> Outcomes:
    """Yes or no of two, unit by unit."""
    first, second = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    counts = [
        int(np.sum(found))
        for found in (first & second, first & ~second, ~first & second, ~first & ~second)
    ]
    return Outcomes(*counts, p=mcnemar(counts[1], counts[2]))


def mcnemar(only_a: int, only_b: int) -> float | None:
    """Exact two-sided p that the two differ in one direction as often as in the other; None when they never differ."""
    from scipy.special import (
        bdtr,
    )  # a fair coin's tails are alike; scipy.stats would take a second to import

    differ = only_a + only_b
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), differ, 0.5))) if differ else None
