"""Faithfulness, its areas, calibration and overlap against closed forms."""

import numpy as np
import pytest

from hubel.evals.statistics.faithfulness import (
    SIZES,
    compare_with_exact,
    faithfulness,
    faithfulness_curve,
    faithfulness_interval,
    jaccard,
)


def test_f_is_one_for_the_model_and_nothing_for_the_ablated_state() -> None:
    model, nothing = np.array([3.0, 5.0]), np.array([-4.0, -4.0])
    assert faithfulness(model, model, nothing) == 1
    assert faithfulness(nothing, model, nothing) == 0
    assert faithfulness(np.array([0.0, 0.0]), model, nothing) == 0.5


def test_f_is_undefined_where_nothing_changes() -> None:
    same = np.ones(3)
    with pytest.raises(ValueError, match="undefined"):
        faithfulness(same, same, same)


def test_the_interval_holds_the_value_and_shrinks_with_prompts() -> None:
    rng = np.random.default_rng(0)

    def width(n: int) -> float:
        model, nothing = 4 + rng.standard_normal(n), -4 + rng.standard_normal(n)
        interval = faithfulness_interval(0.7 * model + rng.standard_normal(n), model, nothing)
        assert interval.low <= interval.value <= interval.high
        return interval.high - interval.low

    assert width(400) < width(25)


def test_areas_are_trapezoids() -> None:
    perfect = faithfulness_curve(SIZES, [1.0] * len(SIZES))
    assert perfect.cmd == 0
    assert perfect.cpr == pytest.approx(0.999)
    over = faithfulness_curve([0.0, 1.0], [3.0, 1.0])
    assert (over.cmd, over.cpr) == (
        1.0,
        2.0,
    )  # what overshoots is a fault to CMD and a merit to CPR


def test_calibration_counts_signs_and_the_top() -> None:
    exact = np.array([5.0, -4.0, 0.5, 0.1, 0.0])
    calibration = compare_with_exact(np.array([4.0, 3.0, 0.6, 0.2, 0.1]), exact, k=2)
    assert (calibration.sign_errors, calibration.top_overlap) == (0.25, 1.0)
    assert compare_with_exact(exact, exact).pearson == pytest.approx(1)
    assert np.isnan(compare_with_exact(np.ones(5), exact).spearman)


def test_overlap_of_circuits() -> None:
    circuit, other = np.array([True, True, False]), np.array([True, False, True])
    assert jaccard(circuit, other) == pytest.approx(1 / 3)
    assert jaccard(circuit & False, other & False) == 1
