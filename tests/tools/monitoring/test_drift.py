"""The drift test against its definition: uniform ranks, fair bets, and the false alarms it promises."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from scipy import integrate, stats

from hubel.tools.errors import UsageError
from hubel.tools.monitoring.drift import DriftTest, log_factors


def first_alarm(
    seed: int, *, shift: float = 0, texts: int = 60, channels: int = 5, rate: float = 0.05
) -> int | None:
    """The text at which a stream alarms whose first channel is shifted, in standard deviations."""
    random = np.random.default_rng(seed)
    test = DriftTest(random.standard_t(3, (100, channels)), rate, seed)
    for _ in range(texts):
        scores = random.standard_t(3, channels)
        scores[0] += shift
        if test.update(scores):
            return test.seen
    return None


def test_each_bet_is_fair() -> None:
    for bet in range(4):
        mean, _ = integrate.quad(lambda p, b=bet: np.exp(log_factors(np.array([p]))[0, b]), 0, 1)
        assert mean == pytest.approx(1, abs=1e-6)


def test_the_capital_is_what_a_plain_loop_over_start_times_gives() -> None:
    random = np.random.default_rng(0)
    baseline, stream = random.normal(size=(30, 1)), random.normal(size=(7, 1))
    test = DriftTest(baseline, 0.01, seed=3)
    for scores in stream:
        test.update(scores)
    ties = np.random.default_rng(3)
    shares = []
    for t, scores in enumerate(stream):
        seen = np.concatenate([baseline, stream[: t + 1]])[:, 0]
        draw = 1 - ties.random(1)[0]
        shares.append(((seen > scores[0]).sum() + draw * (seen == scores[0]).sum()) / len(seen))
    capital = 1 / (len(stream) + 1)
    for start in range(1, len(stream) + 1):
        for exponent in (0.2, 0.5):
            for tail in (np.array(shares), 1 - np.array(shares)):
                won = np.prod(exponent * tail[start - 1 :] ** (exponent - 1))
                capital += won / (4 * start * (start + 1))
    assert test.evidence[0] == pytest.approx(log(capital), abs=1e-12)


def test_shares_are_uniform_and_independent_also_with_ties() -> None:
    random = np.random.default_rng(1)
    values = random.integers(0, 3, (220, 400)).astype(float)  # many ties
    test = DriftTest(values[:20], 0.01)
    shares = []
    for scores in values[20:]:
        test._append(scores)
        shares.append(test._shares(scores))
    first, rest = np.array(shares[:-1]).ravel(), np.array(shares[1:]).ravel()
    assert stats.kstest(first, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(first, rest)[0, 1]) < 0.02


def test_false_alarms_are_as_rare_as_promised_however_often_one_looks() -> None:
    alarms = sum(first_alarm(seed) is not None for seed in range(200))
    assert alarms <= 10


def test_a_drift_alarms_soon_and_names_its_channel_and_direction() -> None:
    assert all(first_alarm(seed, shift=8) is not None for seed in range(10))
    random = np.random.default_rng(0)
    for sign in (1, -1):
        test = DriftTest(random.normal(size=(200, 3)), 0.01)
        alarms = [a for _ in range(20) for a in test.update([0.0, 6.0 * sign, 0.1])]
        assert [(alarm.channel, alarm.rises) for alarm in alarms] == [(1, sign > 0)]
        assert alarms[0].at < 10


def test_a_late_drift_alarms_too_since_calm_cannot_ruin_the_gambler() -> None:
    random = np.random.default_rng(2)
    test = DriftTest(random.normal(size=(100, 2)), 0.01)
    for _ in range(500):
        test.update(random.normal(size=2))
    assert not test.alarms
    for _ in range(40):
        test.update(random.normal(size=2) + 4)
    assert test.alarms


def test_only_the_order_of_scores_counts() -> None:
    random = np.random.default_rng(3)
    baseline, stream = random.normal(size=(50, 2)), random.normal(size=(20, 2)) + 1
    plain, bent = DriftTest(baseline, 0.01), DriftTest(np.exp(3 * baseline), 0.01)
    for scores in stream:
        plain.update(scores)
        bent.update(np.exp(3 * scores))
    assert np.array_equal(plain.evidence, bent.evidence)


@pytest.mark.parametrize(
    ("baseline", "rate", "says"),
    [
        (np.zeros((5, 2)), 0.01, "5 texts given; expected at least 20"),
        (np.full((30, 2), np.nan), 0.01, "finite"),
        (np.zeros((30, 0)), 0.01, "expected finite numbers"),
        (np.zeros((30, 2)), 1.0, "false-alarm rate of 1.0"),
    ],
)
def test_a_baseline_that_cannot_serve_is_refused(
    baseline: np.ndarray, rate: float, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        DriftTest(baseline, rate)


def test_scores_of_another_shape_are_refused_and_nothing_is_lost() -> None:
    test = DriftTest(np.zeros((30, 2)), 0.01)
    for scores in ([1.0], [1.0, float("nan")]):
        with pytest.raises(UsageError, match="expected 2 finite numbers"):
            test.update(scores)
    assert test.seen == 0
