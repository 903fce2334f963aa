from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from hubel.evals.statistics.correlation import pearson
from hubel.evals.statistics.permutation import permutation_test, permutations, permuted_r
from hubel.evals.statistics.resampling import Resampling
from hubel.evals.statistics.sample import Sample


def test_draws_equal_a_naive_loop_over_jointly_valid_positions(make_sample):
    sample = make_sample(1)
    expected = []
    for partners in permutations(len(sample), seed=3, draws=50):
        joint = sample.mask & sample.mask[partners]
        expected.append(np.corrcoef(sample.predicted[partners][joint], sample.true[joint])[0, 1])
    np.testing.assert_allclose(permuted_r(sample, seed=3, draws=50), expected, atol=1e-10)


def test_every_draw_is_a_permutation():
    rows = permutations(9, seed=0, draws=20)
    assert (np.sort(rows, axis=1) == np.arange(9)).all()
    assert len({tuple(row) for row in rows}) == 20


def noise(rng: np.random.Generator, shape: tuple[int, int], memory: float) -> np.ndarray:
    """Gaussian noise that remembers inside a context (AR(1)), independent between contexts."""
    values = rng.standard_normal(shape)
    for t in range(1, shape[1]):
        values[:, t] = memory * values[:, t - 1] + np.sqrt(1 - memory**2) * values[:, t]
    return values


@pytest.mark.parametrize("memory", [0.0, 0.95])
def test_p_is_uniform_where_there_is_nothing(memory):
    p = []
    for seed in range(300):
        rng = np.random.default_rng([seed, int(100 * memory)])
        length = rng.choice([12, 20, 20, 20], 30)
        mask = (np.arange(20) < length[:, None]) & (np.arange(20) > 0)
        sample = Sample(
            noise(rng, (30, 20), memory), noise(rng, (30, 20), memory), mask, np.arange(30)
        )
        p.append(permutation_test(sample, seed, draws=199).p)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(p) <= 0.05) < 0.09


def test_a_shared_trend_with_position_is_no_evidence():
    rng = np.random.default_rng(0)
    trend = np.linspace(0, 5, 20)
    x, y = (trend + rng.standard_normal((40, 20)) for _ in range(2))
    sample = Sample(x, y, np.ones((40, 20), bool), np.arange(40))
    test = permutation_test(sample)
    assert pearson(sample) > 0.6
    assert test.p > 0.05
    assert test.mean == pytest.approx(test.observed, abs=0.05)


def test_the_permutation_test_is_one_sided(make_sample):
    sample = make_sample(0, contexts=60, weight=0.5, documents=40)
    assert permutation_test(sample).p < 1e-4
    assert permutation_test(sample.with_prediction(-sample.predicted)).p == 1.0


def test_a_constant_has_p_one(make_sample):
    sample = make_sample()
    test = permutation_test(sample.with_prediction(np.full(sample.true.shape, 0.3)))
    assert test == (0.0, 1.0, False, 0.0)


def test_one_context_cannot_be_permuted(make_sample):
    assert permutation_test(make_sample(contexts=1)).p == 1.0


def test_beyond_the_draws_p_comes_from_the_tail_and_grows_with_evidence(make_sample):
    p = [permutation_test(make_sample(0, contexts=60, weight=weight)) for weight in (0.3, 0.6, 1.2)]
    assert all(test.fitted and 0 < test.p < 1 / 2000 for test in p)
    assert p[0].p > p[1].p > p[2].p


def test_shuffled_mean_is_about_zero(make_sample):
    # a random permutation leaves one document in its place on average
    sample = make_sample(0, contexts=200, documents=100)
    assert abs(permutation_test(sample).mean) < 0.01


def drifting(rng: np.random.Generator, document: np.ndarray, share: float) -> np.ndarray:
    """Noise of which a share of the variance is common to a document."""
    level = rng.standard_normal(document.max() + 1)[document][:, None]
    return np.sqrt(share) * level + np.sqrt(1 - share) * rng.standard_normal((len(document), 12))


def drifting_sample(seed: int, share: float) -> Sample:
    """Unrelated prediction and truth over 30 documents of one to six contexts."""
    rng = np.random.default_rng([seed, 7])
    document = np.repeat(np.arange(30), rng.integers(1, 7, 30))
    mask = np.broadcast_to(np.arange(12) > 0, (len(document), 12))
    return Sample(drifting(rng, document, share), drifting(rng, document, share), mask, document)


def test_draws_of_documents_equal_a_naive_loop():
    sample = drifting_sample(0, 0.5)
    mask = sample.mask.copy()
    mask[::5, 7:] = False
    sample = Sample(sample.predicted, sample.true, mask, sample.document)
    rows = [np.flatnonzero(sample.document == number) for number in range(30)]
    expected = []
    for partners in permutations(30, seed=3, draws=40):
        x, y = [], []
        for own, partner in zip(rows, (rows[i] for i in partners), strict=True):
            for a, b in zip(own, partner, strict=False):  # the shorter one ends the pair
                joint = sample.mask[a] & sample.mask[b]
                y.extend(sample.true[a][joint])
                x.extend(sample.predicted[b][joint])
        expected.append(np.corrcoef(x, y)[0, 1])
    draws = permuted_r(sample, seed=3, draws=40, block="document")
    np.testing.assert_allclose(draws, expected, atol=1e-10)


def test_documents_of_one_context_are_permuted_as_contexts():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 25, 12))
    sample = Sample(x, y, np.ones((25, 12), bool), np.arange(25))
    by_context = permuted_r(sample, 5, 50)
    np.testing.assert_allclose(permuted_r(sample, 5, 50, "document"), by_context, atol=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_p_of_permuted_documents_holds_where_documents_differ(share):
    samples = [drifting_sample(seed, share) for seed in range(250)]
    p = np.array([permutation_test(sample, draws=199).p for sample in samples])
    assert np.mean(p <= 0.05) < 0.09
    assert np.mean(p <= 0.5) < 0.58


def test_p_of_permuted_contexts_was_too_small_where_documents_differ():
    """What old runs did, and replay: it takes the drift of unrelated signals for evidence."""
    old = Resampling("group", "expanded", "context")
    samples = [replace(drifting_sample(seed, 0.5), resampling=old) for seed in range(250)]
    p = np.array([permutation_test(sample, draws=199).p for sample in samples])
    assert np.mean(p <= 0.05) > 0.15


def test_one_document_cannot_be_permuted():
    sample = drifting_sample(0, 0.3)
    one = Sample(sample.true, sample.true, sample.mask, np.zeros(len(sample), int))
    assert permutation_test(one).p == 1.0
