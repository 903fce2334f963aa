"""Intervals over groups: how often they hold the truth, and what groups change."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.evals.statistics.bootstrap import Interval, bootstrap
from hubel.evals.statistics.fdr import wilson
from hubel.evals.statistics.grouped import (
    difference_of_shares,
    difference_over_groups,
    mean_over_groups,
)
from hubel.tools.errors import UsageError

GROUPS, SIZE = 24, 6


def holds(interval: Interval, truth: float) -> bool:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low <= truth <= interval.high


def test_without_groups_it_is_the_bootstrap_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(size=40)
    sums = np.column_stack([values, np.ones(40)])
    expected = bootstrap(sums, lambda total: total[..., 0] / total[..., 1])
    assert mean_over_groups(values) == pytest.approx(expected)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_intervals_of_grouped_values_hold_the_truth(level: float) -> None:
    held = held_difference = alone = 0
    runs = 200
    names = np.repeat(np.arange(GROUPS), SIZE)
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=GROUPS)[names] + 0.3 * rng.normal(size=len(names))
        held += holds(mean_over_groups(values, names.tolist(), level=level), 0)
        member = names % 2 == 0
        difference = difference_over_groups(values, member, names.tolist(), level=level)
        held_difference += holds(difference, 0)
        alone += holds(mean_over_groups(values, level=level), 0)
    # three standard errors of a share of 200
    slack = 3 * (level * (1 - level) / runs) ** 0.5
    assert held / runs >= level - slack
    assert held_difference / runs >= level - slack
    assert alone / runs < level - 0.1  # rows that depend on each other are not so many


def test_a_unanimous_share_has_wilsons_interval() -> None:
    value, low, high = mean_over_groups([1.0] * 20)
    assert (value, high) == (1.0, 1.0)
    assert low == pytest.approx(wilson(20, 20).low)
    grouped = mean_over_groups([0.0] * 20, [n % 10 for n in range(20)])
    assert grouped.high == pytest.approx(wilson(0, 10).high)


def shares(own: tuple[int, int], other: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows with so many hits of so many, and which are members."""
    rows = [np.arange(n) < hits for hits, n in (own, other)]
    return np.concatenate(rows) * 1.0, np.arange(own[1] + other[1]) < own[1]


def test_the_difference_of_shares_is_newcombes_example() -> None:
    # Newcombe 1998, table II, contrast (a), method 10
    interval = difference_of_shares(*shares((56, 70), (48, 80)))
    assert interval == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_rows_of_a_group_that_agree_count_as_one() -> None:
    hits, member = shares((14, 20), (12, 30))
    single = difference_of_shares(hits, member)
    tripled = difference_of_shares(
        np.repeat(hits, 3), np.repeat(member, 3), np.repeat(np.arange(50), 3).tolist()
    )
    assert tripled == pytest.approx(single, abs=0.02)
    alone = difference_of_shares(np.repeat(hits, 3), np.repeat(member, 3))
    assert alone.low is not None
    assert single.low is not None
    assert alone.low > single.low + 0.05


def test_a_small_slice_without_a_hit_is_not_certain() -> None:
    hits, member = shares((0, 9), (60, 200))
    sure = difference_over_groups(hits, member, level=0.99)
    assert sure.high is not None
    assert sure.high < 0  # nine rows that are alike have no spread to resample
    unsure = difference_of_shares(hits, member, level=0.99)
    assert unsure.high is not None
    assert unsure.high > 0


def test_too_few_groups_have_no_interval() -> None:
    assert mean_over_groups([1.0, 2.0] * 10, ["a", "b"] * 10) == (1.5, None, None)
    member = [n < 3 for n in range(20)]
    assert difference_over_groups(np.arange(20.0), member) == (1 - 11, None, None)
    assert difference_of_shares([1.0] * 20, member) == (0, None, None)


def test_bad_input_is_named() -> None:
    with pytest.raises(UsageError, match="0 values"):
        mean_over_groups([])
    with pytest.raises(UsageError, match="1 of them not finite"):
        mean_over_groups([1.0, float("nan")])
    with pytest.raises(UsageError, match="2 values and 1 groups"):
        mean_over_groups([1.0, 2.0], ["a"])
    with pytest.raises(UsageError, match="2 members among 2 values"):
        difference_over_groups([1.0, 2.0], [True, True])
