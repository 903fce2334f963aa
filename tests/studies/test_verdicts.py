"""Verdicts from intervals: each side of a bound, and how often nothing is supported."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.evals.statistics.bootstrap import Interval, bootstrap
from hubel.evals.statistics.fdr import wilson
from hubel.studies import above, below, cannot_say, within
from hubel.studies.verdicts import joint_level, paired


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.6, 0.8, ("supported", "refuted")),
        (0.2, 0.4, ("refuted", "supported")),
        (0.4, 0.6, ("cannot say", "cannot say")),
    ],
)
def test_a_claim_is_decided_by_the_whole_interval(
    low: float, high: float, expected: tuple[str, str]
) -> None:
    interval = Interval((low + high) / 2, low, high)
    verdicts = (above("a", interval, 0.5, 30).verdict, below("b", interval, 0.5, 30).verdict)
    assert verdicts == expected


def test_least_is_counted_from_the_control() -> None:
    interval = Interval(0.7, 0.6, 0.8)
    assert above("a", interval, 0.5, 30, least=0.05).verdict == "supported"
    assert above("a", interval, 0.5, 30, least=0.2).verdict == "cannot say"
    assert above("a", interval, 0.5, 30, least=0.35).verdict == "refuted"
    assert below("b", interval, 0.9, 30, least=0.2).verdict == "cannot say"


def test_equality_needs_an_interval_inside_of_the_margin() -> None:
    assert within("a", Interval(0.51, 0.48, 0.53), 0.5, 30, 0.05).verdict == "supported"
    assert within("a", Interval(0.51, 0.40, 0.62), 0.5, 30, 0.05).verdict == "cannot say"
    assert within("a", Interval(0.7, 0.6, 0.8), 0.5, 30, 0.05).verdict == "refuted"


def test_without_an_interval_nothing_is_said() -> None:
    assert above("a", Interval(0.9, None, None), 0.5, 1).verdict == "cannot say"
    assert within("a", Interval(0.5, None, None), 0.5, 1, 0.1).verdict == "cannot say"
    assert cannot_say("too few texts", 3).value is None


def test_a_mean_of_nothing_is_supported_in_at_most_one_of_20_samples() -> None:
    supported = 0
    for seed in range(200):
        values = np.random.default_rng(seed).normal(size=(30, 1))
        interval = bootstrap(
            np.hstack([values, np.ones_like(values)]), lambda s: s[..., 0] / s[..., 1], seed
        )
        supported += above("above 0", interval, 0.0, 30).verdict == "supported"
    assert 0 < supported <= 10


def test_joint_intervals_are_wider_the_more_claims_there_are() -> None:
    assert joint_level(1) == pytest.approx(0.95)
    assert joint_level(10) == pytest.approx(0.995)


def test_a_paired_claim_is_on_the_difference_and_shows_both_means() -> None:
    right, control = np.array([1.0] * 18 + [0.0] * 2), np.array([0.0, 1.0] * 10)
    claim = paired("it gains", right, control, level=0.95)
    assert claim.value == pytest.approx(0.4)
    assert claim.control == 0
    assert claim.claim == "it gains (0.9 and 0.5)"
    assert paired("it loses", right, control, level=0.95, decide=below).verdict == "refuted"
    few = paired("it gains", right, control, [n % 5 for n in range(20)], level=0.95)
    assert (few.verdict, few.low) == ("cannot say", None)
    assert "5 groups" in few.claim


def test_the_interval_of_equal_differences_ends_within_their_bounds() -> None:
    always = paired("it gains", np.ones(20), np.zeros(20), level=0.95)
    assert (always.high, always.verdict) == (1.0, "supported")
    assert always.low == pytest.approx(1 - 2 * (1 - wilson(20, 20).low))
    never = paired("it gains", np.ones(20), np.ones(20), level=0.95)
    assert (never.low, never.verdict) == (pytest.approx(-(never.high or 0.0)), "cannot say")
