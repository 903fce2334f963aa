"""Two explanations of one unit, or two runs on the same units: is one better?

- One unit: `bootstrap.bootstrap_difference` compares two predictions on the same resampled
  documents.
- Many units: each has a score under A and under B. The mean difference with its bootstrap interval
  over units, and a two-sided sign-flip permutation test: under the null, A and B could be swapped
  for each unit, so each difference keeps its size and gets a random sign (Fisher 1935). All
  patterns up to 13 units, else 9,999 draws; for many units the normal approximation.
- Yes or no for each unit (kept or not): McNemar's exact test, a binomial test on the units where
  the two differ (McNemar 1947).
- Coverage belongs to every mean: how many units have a score, how many failed, how many have
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
"""Units up to which all patterns of signs are tried: 8,192."""
DRAWS = 9_999
MANY = 2_000
"""More units use the normal distribution: the same to the third digit, and 100,000 units need no
matrix of resamples."""
_Z = 1.959963984540054


@dataclass(frozen=True)
class Coverage:
    """How many targets a mean covers."""

    targets: int
    scored: int
    failed: int = 0
    """The judge gave no readable answer, or the target itself failed: can be scored again."""
    skipped: int = 0
    """There is nothing to score."""

    def to_json(self) -> dict[str, int]:
        """All four counts."""
        return asdict(self)

    def __str__(self) -> str:
        text = f"{self.scored} of {self.targets} targets"
        if self.failed:
            text += f", {self.failed} failed"
        if self.skipped:
            text += f", {self.skipped} cannot be scored"
        return text


class Paired(NamedTuple):
    """A compared with B over the units that both score."""

    pairs: int
    difference: Interval
    """Mean of A minus B, with its interval over units."""
    p: float
    """Two-sided; 1 without a pair."""


def mean_over_units(values: Sequence[float], seed: int = 0) -> Interval | None:
    """Mean with its interval over units; None without any."""
    array = np.asarray(values, dtype=np.float64)
    if not len(array):
        return None
    if len(array) > MANY:
        mean, half = float(array.mean()), _Z * float(array.std(ddof=1)) / sqrt(len(array))
        return Interval(mean, mean - half, mean + half)
    sums = np.column_stack([array, np.ones(len(array))])
    return bootstrap(sums, lambda total: total[..., 0] / total[..., 1], seed)


def compare_means(a: Mapping[str, float], b: Mapping[str, float], seed: int = 0) -> Paired:
    """A minus B over the units that have both."""
    both = sorted(set(a) & set(b))
    differences = np.array([a[unit] - b[unit] for unit in both])
    difference = mean_over_units(differences.tolist(), seed) or Interval(0.0, None, None)
    return Paired(len(both), difference, sign_flip_p(differences, seed))


def sign_flip_p(differences: np.ndarray, seed: int = 0) -> float:
    """Two-sided p that the mean difference is 0."""
    differences = np.asarray(differences, dtype=np.float64)
    if not differences.any():
        return 1.0
    n = len(differences)
    observed = abs(differences.sum())
    tie = 1e-12 * np.abs(differences).sum()  # sums in another order differ in the last digits
    if n > MANY:
        return erfc(observed / sqrt(2 * float(differences @ differences)))
    if n <= EXACT:
        signs = np.array(list(product((-1.0, 1.0), repeat=n)))
        return float((np.abs(signs @ differences) >= observed - tie).mean())
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), (DRAWS, n))
    return float((1 + (np.abs(signs @ differences) >= observed - tie).sum()) / (1 + DRAWS))


class Outcomes(NamedTuple):
    """Units for which both, one, or neither is yes, with p of McNemar's exact test."""

    both: int
    only_a: int
    only_b: int
    neither: int
    p: float | None


def compare_outcomes(a: Sequence[bool], b: Sequence[bool]) -> Outcomes:
    """Compare two lists of yes or no, unit by unit."""
    yes_a, yes_b = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    only_a, only_b = int((yes_a & ~yes_b).sum()), int((~yes_a & yes_b).sum())
    both, neither = int((yes_a & yes_b).sum()), int((~yes_a & ~yes_b).sum())
    return Outcomes(both, only_a, only_b, neither, mcnemar(only_a, only_b))


def mcnemar(only_a: int, only_b: int) -> float | None:
    """Exact two-sided p that both directions are equally likely; None without a difference."""
    from scipy.special import bdtr  # scipy.stats would take a second to import

    differ = only_a + only_b
    # both tails of a fair coin are alike
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), differ, 0.5))) if differ else None
