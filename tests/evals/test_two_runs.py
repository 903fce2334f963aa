"""Paired comparisons and agreement, against closed forms and worked examples."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.evals.agreement import kappa
from hubel.evals.two_runs import RESAMPLED, compare_outcomes, compare_paired, mcnemar, mean_interval


def test_kappa_of_a_worked_example() -> None:
    """Cohen's own layout: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no; p_o 0.7, p_e 0.5, kappa 0.4."""
    counts = {(True, True): 20, (True, False): 5, (False, True): 10, (False, False): 15}
    assert kappa([pair for pair, n in counts.items() for _ in range(n)]) == pytest.approx(0.4)


def test_kappa_is_one_zero_or_nothing_to_say() -> None:
    assert kappa([(True, True), (False, False)]) == 1
    assert kappa([(a, b) for a in (True, False) for b in (True, False)]) == 0
    assert kappa([(True, False), (False, True)]) == -1
    assert kappa([]) is None
    assert kappa([(True, True)] * 3) is None


@given(st.integers(0, 30), st.integers(0, 30))
def test_mcnemar_is_the_sum_of_binomial_tails(b: int, c: int) -> None:
    """Under fair coins both tails are the same: p = 2 * P(X <= min), at most 1."""
    n = b + c
    p = mcnemar(b, c)
    if n == 0:
        assert p is None
    else:
        assert p == pytest.approx(min(1.0, 2 * sum(comb(n, k) for k in range(min(b, c) + 1)) / 2**n))


def test_wilcoxon_by_counting_all_signs() -> None:
    """Exact p of small samples without ties: the share of sign patterns whose rank sum is as extreme."""
    differences = np.array([0.3, -0.1, 0.5, 0.7, 0.2, -0.4, 0.9])
    ranks = np.abs(differences).argsort().argsort() + 1
    seen = min(ranks[differences > 0].sum(), ranks[differences < 0].sum())
    sums = [sum(r for r, s in zip(ranks, signs, strict=True) if s) for signs in product([0, 1], repeat=len(ranks))]
    exact = sum(min(s, ranks.sum() - s) <= seen for s in sums) / len(sums)
    found = compare_paired(np.zeros(len(differences)), differences)
    assert found is not None
    assert found.p == pytest.approx(exact)
    assert found.mean_difference == pytest.approx(differences.mean())


def test_a_paired_interval_covers_the_normal_one() -> None:
    """Of many differences the bootstrap's interval is the normal one, and beyond a number it is taken to be that."""
    rng = np.random.default_rng(0)
    values = rng.normal(0.1, 1.0, RESAMPLED + 1)
    drawn, normal = mean_interval(values[:-1]), mean_interval(values)
    assert drawn is not None
    assert normal is not None
    width = 2 * 1.96 * values.std() / len(values) ** 0.5
    for interval in (drawn, normal):
        assert interval.low is not None
        assert interval.high is not None
        assert interval.high - interval.low == pytest.approx(width, rel=0.06)


def test_equal_runs_differ_by_nothing() -> None:
    found = compare_paired([0.1, 0.2], [0.1, 0.2])
    assert found is not None
    assert (found.mean_difference, found.low, found.high, found.p) == (0, 0, 0, None)
    assert compare_paired([], []) is None


def test_outcomes_are_counted_by_target() -> None:
    found = compare_outcomes([True, True, False, False, False], [True, False, True, False, False])
    assert found == (1, 1, 1, 2, 1.0)
