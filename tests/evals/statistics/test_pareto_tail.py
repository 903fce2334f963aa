from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hubel.evals.statistics.pareto_tail import Pareto, fit_pareto, tail_probability


@pytest.mark.parametrize("shape", [0.0, 0.3, 1.0])
def test_survival_is_scipys(shape):
    for z in (0.0, 0.5, 4.0):
        assert Pareto(shape, 2.0).survival(z) == pytest.approx(
            stats.genpareto.sf(z, shape, scale=2.0)
        )


@pytest.mark.parametrize("shape", [0.25, 0.6, 1.2])
def test_fit_is_scipys_maximum_likelihood(shape):
    z = np.asarray(
        stats.genpareto.rvs(shape, scale=0.02, size=250, random_state=np.random.default_rng(0))
    )
    expected_shape, _, expected_scale = stats.genpareto.fit(z, floc=0)
    fit = fit_pareto(z)
    assert fit.shape == pytest.approx(expected_shape, abs=2e-3)
    assert fit.scale == pytest.approx(expected_scale, rel=5e-3)


def test_a_light_tail_is_held_at_the_exponential():
    z = np.random.default_rng(0).random(250)  # uniform: shape -1
    assert fit_pareto(z) == Pareto(0.0, z.mean())


@pytest.mark.parametrize(("sd", "useful"), [(4.0, 5e-4), (5.0, 1e-4), (10.0, 1e-8), (20.0, 1e-15)])
def test_tail_of_gaussian_draws_claims_too_little_and_never_too_much(sd, useful):
    p = [
        tail_probability(np.random.default_rng(seed).standard_normal(1_999), sd)
        for seed in range(50)
    ]
    assert np.mean(np.array(p) >= stats.norm.sf(sd)) >= 0.95
    assert np.median(p) < useful


def test_tail_agrees_with_counting_where_counting_is_possible():
    draws = np.random.default_rng(1).standard_normal(1_999)
    for rank in (20, 60, 120):
        observed = np.sort(draws)[-rank]
        assert tail_probability(draws, observed) == pytest.approx(rank / 1_999, rel=0.3)


def test_draws_without_a_tail_claim_nothing():
    assert tail_probability(np.zeros(1_999), 0.5) == 1.0
    assert tail_probability(np.array([0.0, 0.1, 0.2]), 0.5) == 1.0


def test_p_is_never_zero():
    assert tail_probability(np.random.default_rng(0).standard_normal(1_999), 1e6) > 0
