"""Paired comparisons and agreement, against closed forms and worked examples."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from hubel.evals.statistics.kappa import cohen_kappa
from hubel.evals.statistics.paired import (
    MANY,
    compare_means,
    compare_outcomes,
    mcnemar,
    mean_over_units,
    sign_flip_p,
)


def test_kappa_of_a_worked_example() -> None:
    """Cohen's own layout: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no; p_o 0.7, p_e 0.5, kappa 0.4."""
    counts = {(True, True): 20, (True, False): 5, (False, True): 10, (False, False): 15}
    assert cohen_kappa([pair for pair, n in counts.items() for _ in range(n)]) == pytest.approx(0.4)


def test_kappa_is_one_zero_or_nothing_to_say() -> None:
    assert cohen_kappa([(True, True), (False, False)]) == 1
    assert cohen_kappa([(a, b) for a in (True, False) for b in (True, False)]) == 0
    assert cohen_kappa([(True, False), (False, True)]) == -1
    assert cohen_kappa([]) is None
    assert cohen_kappa([(True, True)] * 3) is None


@given(st.integers(0, 30), st.integers(0, 30))
def test_mcnemar_is_the_sum_of_binomial_tails(b: int, c: int) -> None:
    """Under fair coins both tails are the same: p = 2 * P(X <= min), at most 1."""
    n = b + c
    p = mcnemar(b, c)
    if n == 0:
        assert p is None
    else:
        assert p == pytest.approx(
            min(1.0, 2 * sum(comb(n, k) for k in range(min(b, c) + 1)) / 2**n)
        )


@pytest.mark.slow
def test_of_many_units_interval_and_p_are_the_normal_ones() -> None:
    """One unit more than are resampled: bootstrap and draws below, closed forms above, agree."""
    rng = np.random.default_rng(0)
    values = rng.normal(0.04, 1.0, MANY + 1)
    drawn, normal = mean_over_units(values[:-1].tolist()), mean_over_units(values.tolist())
    width = 2 * 1.96 * values.std() / len(values) ** 0.5
    for interval in (drawn, normal):
        assert interval is not None
        assert interval.low is not None
        assert interval.high is not None
        assert interval.high - interval.low == pytest.approx(width, rel=0.06)
    z = values.sum() / np.sqrt((values**2).sum())
    assert sign_flip_p(values) == pytest.approx(2 * norm.sf(abs(z)))
    assert sign_flip_p(values) == pytest.approx(sign_flip_p(values[:-1]), abs=0.02)


def test_equal_runs_differ_by_nothing() -> None:
    comparison = compare_means({"a": 0.1, "b": 0.2}, {"a": 0.1, "b": 0.2})
    assert (
        comparison.difference.value,
        comparison.difference.low,
        comparison.difference.high,
        comparison.p,
    ) == (
        0,
        0,
        0,
        1.0,
    )


def test_outcomes_are_counted_by_target() -> None:
    outcomes = compare_outcomes(
        [True, True, False, False, False], [True, False, True, False, False]
    )
    assert outcomes == (1, 1, 1, 2, 1.0)
