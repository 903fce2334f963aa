"""Which tier follows from which scores, and that a list that does as well is always said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.evals.tier import (
    CLEAR_COVERAGE,
    CLEAR_HEADLINE,
    CLEAR_STRENGTH,
    TierScores,
    tier_of_kept,
)
from hubel.evals.verdict import TargetResult, decide_verdicts

CLEAR = TierScores(0.1, 0.05, 0.05, CLEAR_HEADLINE, CLEAR_COVERAGE, CLEAR_STRENGTH)
KEPT = TargetResult(
    "mlp.0.1",
    value=0.5,
    low=0.4,
    high=0.6,
    p=1e-6,
    over_trivial=0.3,
    trivial="frequency",
    active_documents=90,
    tier_scores=CLEAR,
)


@pytest.mark.parametrize(
    ("changes", "tier"),
    [
        ({}, "clear"),
        ({"headline": CLEAR_HEADLINE - 0.01}, "composite"),
        ({"coverage": CLEAR_COVERAGE - 0.01}, "composite"),
        ({"coverage": None}, "composite"),
        ({"strength": CLEAR_STRENGTH - 0.01}, "composite"),
        ({"over_list": 0.0}, "list"),
        ({"over_list": -0.1, "over_list_low": -0.2}, "list"),
        ({"over_list_low": -0.01}, "clear"),
        ({"over_list_low": -0.01, "headline": 0.0}, "composite"),
        ({"over_list_low": -0.01, "headline": 0.0, "meaning_over_list": -0.01}, "list"),
        ({"over_list_low": None, "headline": 0.0, "meaning_over_list": -0.01}, "list"),
        ({"headline": None, "coverage": None, "meaning_over_list": None}, None),
        ({"headline": None, "meaning_over_list": None, "over_list": -0.1}, "list"),
    ],
)
def test_the_first_that_fits_counts(changes, tier):
    assert tier_of_kept(replace(CLEAR, **changes)) == tier


@pytest.mark.parametrize(
    ("changes", "tier"),
    [
        ({"value": 0.1, "low": 0.05, "high": 0.15}, "diffuse"),
        ({"low": 0.15}, "diffuse"),
        ({"p": 0.5}, "diffuse"),
        ({"over_trivial": -0.1}, "diffuse"),
        ({"active_documents": 9}, None),
        ({"cannot_explain": True}, None),
        ({"status": "failed"}, None),
        ({"tier_scores": None}, None),
        ({"tier_scores": None, "low": 0.15}, None),
    ],
)
def test_what_is_not_kept_is_diffuse_or_has_no_tier(changes, tier):
    (verdict,) = decide_verdicts([replace(KEPT, **changes)])
    assert verdict.tier == tier


@given(
    st.floats(-0.5, 0.5),
    st.floats(-0.5, 0.5),
    st.floats(-0.5, 0.5),
    st.floats(-1, 1),
    st.floats(0, 1),
)
def test_a_target_that_is_kept_though_a_list_beats_it_is_called_a_list(
    over, low, meaning, headline, coverage
):
    scores = TierScores(over, low, meaning, headline, coverage)
    (verdict,) = decide_verdicts([replace(KEPT, tier_scores=scores)])
    assert verdict.verdict == "kept"
    if over <= 0:
        assert verdict.tier == "list"
    assert ("bare list" in verdict.reason) == (verdict.tier == "list")


def test_the_reason_says_what_a_list_reaches():
    scores = replace(CLEAR, over_list=-0.02)
    (verdict,) = decide_verdicts([replace(KEPT, tier_scores=scores)])
    assert verdict.reason.endswith("A bare list of 24 tokens does as well (r 0.52).")


def test_verdicts_do_not_depend_on_the_tier():
    rows = [KEPT, replace(KEPT, low=0.1), replace(KEPT, high=0.1)]
    with_tiers = decide_verdicts(rows)
    without = decide_verdicts([replace(row, tier_scores=None) for row in rows])
    assert [v.verdict for v in with_tiers] == [v.verdict for v in without]
