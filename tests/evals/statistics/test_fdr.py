from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hubel.evals.statistics.fdr import benjamini_hochberg, wilson
from hubel.tools.errors import UsageError

P = st.lists(st.floats(0, 1), min_size=1, max_size=60)


@given(P)
def test_discoveries_are_scipys_adjusted_p(p):
    adjusted = stats.false_discovery_control(p)
    clear = np.abs(adjusted - 0.05) > 1e-12  # at equality the two divide in another order
    assert (benjamini_hochberg(p)[clear] == (adjusted <= 0.05)[clear]).all()


@given(P)
def test_failed_targets_never_help(p):
    discoveries = benjamini_hochberg(p)
    assert (benjamini_hochberg([*p, 1.0])[:-1] <= discoveries).all()


def test_nothing_to_test_is_nothing_found():
    assert benjamini_hochberg([]).tolist() == []


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_values_that_are_not_p_values_are_refused(p):
    with pytest.raises(UsageError, match=r"\[0, 1\]"):
        benjamini_hochberg([0.5, p])


@pytest.mark.parametrize(("successes", "trials"), [(0, 200), (2, 200), (57, 60), (60, 60), (1, 1)])
def test_wilson_is_scipys(successes, trials):
    expected = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson(successes, trials) == pytest.approx(
        (successes / trials, expected.low, expected.high)
    )


def test_wilson_of_no_trials_is_the_whole_range():
    assert wilson(0, 0) == (0.0, 0.0, 1.0)
    with pytest.raises(UsageError, match="expected"):
        wilson(3, 2)
