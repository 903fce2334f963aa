from __future__ import annotations

import numpy as np
import pytest

from hubel.evals.statistics.sample import ActivityLevel, Sample
from hubel.tools.errors import UsageError


def test_padding_is_never_read():
    values = np.array([[np.nan, 1.0, 2.0], [np.inf, 3.0, np.nan]])
    mask = np.array([[False, True, True], [False, True, False]])
    sample = Sample(values, values, mask, np.array([0, 1]))
    assert sample.true.tolist() == [[0, 1, 2], [0, 3, 0]]


@pytest.mark.parametrize("side", ["predicted", "true"])
def test_a_prediction_that_is_not_finite_is_an_error_and_names_the_token(side: str):
    arrays = {"predicted": np.ones((2, 3)), "true": np.ones((2, 3))}
    arrays[side][1, 2] = np.nan
    with pytest.raises(UsageError, match=f"{side} activation nan at context 1, position 2"):
        Sample(arrays["predicted"], arrays["true"], np.ones((2, 3), bool), np.zeros(2, int))


@pytest.mark.parametrize(
    ("shape", "mask", "document", "message"),
    [
        ((2, 4), np.ones((2, 3), bool), np.zeros(2, int), r"expected the mask's \(2, 3\)"),
        ((2, 3), np.ones((2, 3), bool), np.zeros(3, int), "expected"),
        ((2, 3), np.zeros((2, 3), bool), np.zeros(2, int), "no token"),
    ],
)
def test_what_does_not_fit_together_is_refused(shape, mask, document, message):
    with pytest.raises(UsageError, match=message):
        Sample(np.zeros(shape), np.zeros(shape), mask, document)


def test_active_documents_counts_documents_and_not_contexts():
    true = np.array([[0, 1.0], [0, 2.0], [0, 0.0], [5.0, 0.0]])  # the last fires only at position 0
    mask = np.broadcast_to(np.array([False, True]), true.shape)
    assert Sample(true, true, mask, np.array([7, 7, 8, 9])).active_documents() == 1


def test_active_is_far_from_the_middle_on_the_units_own_scale():
    """By a loop: 0.3 times the median distance of the ten strongest tokens of explore."""
    rng = np.random.default_rng(0)
    explore = rng.standard_normal(999) + 5.0
    middle = sorted(explore)[499]
    distances = sorted(abs(explore - middle))[-10:]
    level = ActivityLevel.of(explore)
    assert level.middle == pytest.approx(middle)
    assert level.distance == pytest.approx(0.3 * (distances[4] + distances[5]) / 2)
    signal = middle + level.distance * np.array([[0.0, 0.99, -0.99], [1.01, 0.0, -1.01]])
    assert level.active(signal).tolist() == [[False] * 3, [True, False, True]]


def test_a_unit_that_fires_in_few_documents_is_active_in_few():
    """Noise elsewhere is no activation, though it is never 0."""
    rng = np.random.default_rng(0)
    true = 0.05 * rng.standard_normal((100, 30))
    true[:8, 10:20] += 3.0
    mask = np.broadcast_to(np.arange(30) > 0, true.shape)
    sample = Sample(true, true, mask, np.arange(100))
    assert sample.active_documents() == 100
    assert sample.active_documents(ActivityLevel.of(true[mask])) == 8


def test_nothing_is_active_in_a_constant():
    sample = Sample(np.ones((3, 4)), np.ones((3, 4)), np.ones((3, 4), bool), np.arange(3))
    assert sample.active_documents(ActivityLevel.of(np.ones(12))) == 0


def test_one_freak_token_does_not_set_the_scale():
    rng = np.random.default_rng(0)
    signal = rng.standard_normal(5_000)
    freak = np.append(signal, 1e6)
    assert ActivityLevel.of(freak).distance == pytest.approx(
        ActivityLevel.of(signal).distance, rel=0.1
    )
