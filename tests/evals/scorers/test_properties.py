"""What must hold of a score whatever the activations look like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hubel.evals.scorers.registry import ScoringTask
from hubel.evals.scorers.simulation import evidence_for_verdict, score_simulation
from hubel.evals.statistics.bootstrap import bootstrap_r
from hubel.evals.statistics.correlation import pearson
from hubel.evals.statistics.permutation import permutation_test
from hubel.evals.statistics.sample import Sample

SHAPE = (12, 6)
VALUES = arrays(
    np.float64, SHAPE, elements=st.floats(-1e6, 1e6, allow_subnormal=False) | st.just(0.0)
)
WILD = arrays(np.float64, SHAPE, elements=st.floats(allow_nan=False, allow_infinity=False))
MASKS = arrays(bool, SHAPE).filter(lambda mask: mask.any())
DOCUMENTS = arrays(np.int64, SHAPE[0], elements=st.integers(0, 5))
TAME = arrays(np.float64, SHAPE, elements=st.integers(-8, 8).map(float))
"""Small whole numbers: a difference is either 0 or far above rounding, so that exact laws can be asked for."""


@st.composite
def samples(draw: st.DrawFn, values: st.SearchStrategy[np.ndarray] = TAME) -> Sample:
    return Sample(draw(values), draw(values), draw(MASKS), draw(DOCUMENTS))


@pytest.mark.slow
@given(samples(), st.randoms(use_true_random=False))
def test_scores_do_not_depend_on_the_order_of_contexts(sample, random):
    order = list(range(len(sample)))
    random.shuffle(order)
    there, back = bootstrap_r(sample), bootstrap_r(sample.take(np.array(order)))
    assert back.value == pytest.approx(there.value, abs=1e-9)
    if there.low is not None:
        assert (back.low, back.high) == pytest.approx((there.low, there.high), abs=1e-9)


@pytest.mark.slow
@given(samples(), st.floats(1e-3, 1e3), st.floats(-10, 10))
def test_positive_scale_and_offset_do_not_matter(sample, scale, offset):
    moved = sample.with_prediction(sample.predicted * scale + offset)
    assert pearson(moved) == pytest.approx(pearson(sample), abs=1e-6)


@pytest.mark.slow
@given(samples())
def test_a_negative_scale_turns_the_sign(sample):
    assert pearson(sample.with_prediction(-sample.predicted)) == pytest.approx(
        -pearson(sample), abs=1e-9
    )


@pytest.mark.slow
@given(samples(), st.floats(0, 100))
def test_adding_the_truth_never_lowers_the_score(sample, amount):
    helped = sample.with_prediction(sample.predicted + amount * sample.true)
    assert pearson(helped) >= pearson(sample) - 1e-9


@pytest.mark.slow
@given(samples(), st.floats(-1e9, 1e9))
def test_a_constant_scores_exactly_zero_everywhere(sample, constant):
    task = ScoringTask(sample.with_prediction(np.full(SHAPE, constant)), "holdout")
    for text in ("random", "top_and_random"):
        score = score_simulation(task, text)
        assert score.value == 0.0
        assert score.floors.shuffled == 0.0
        assert {score.low, score.high} <= {0.0, None}


@pytest.mark.slow
@given(samples(VALUES | WILD))
def test_there_is_never_a_nan(sample):
    task = ScoringTask(sample, "holdout")
    for text in ("random", "top_and_random"):
        score = score_simulation(task, text)
        assert -1 <= score.value <= 1
        assert score.low is None or (score.high is not None and -1 <= score.low <= score.high <= 1)
        assert -1 <= (score.floors.shuffled or 0.0) <= 1
    assert 0 < evidence_for_verdict(task).p <= 1


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_a_shuffled_explanation_scores_about_zero(seed):
    rng = np.random.default_rng(seed)
    true = np.abs(rng.standard_normal((200, 16))) * (rng.random((200, 16)) < 0.2)
    predicted = true + 0.5 * rng.standard_normal(true.shape)
    sample = Sample(
        predicted[rng.permutation(200)], true, np.arange(16) > np.zeros((200, 1)), np.arange(200)
    )
    assume(pearson(sample.with_prediction(predicted)) > 0.4)
    assert abs(pearson(sample)) < 0.09  # 5 standard deviations of r over 3,000 tokens
    assert permutation_test(sample, draws=99).p > 0.005
