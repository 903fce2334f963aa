from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm, t

from hubel.evals.statistics.bootstrap import (
    RESAMPLES,
    Interval,
    bootstrap,
    bootstrap_difference,
    bootstrap_r,
    resample_counts,
)
from hubel.evals.statistics.correlation import pearson_from_moments
from hubel.evals.statistics.permutation import permutation_test
from hubel.evals.statistics.resampling import IntervalMethod, Resampling
from hubel.evals.statistics.sample import Sample
from hubel.tools.errors import CorruptError


def naive_draws(sample: Sample, predictions: list[np.ndarray], counts: np.ndarray) -> np.ndarray:
    """r of each prediction on each resample, by writing the drawn documents' tokens end to end."""
    documents = np.unique(sample.document)
    rows = []
    for count in counts.astype(int):
        drawn = np.repeat(documents, count)
        contexts = np.concatenate([np.flatnonzero(sample.document == d) for d in drawn])
        mask = sample.mask[contexts]
        rows.append(
            [np.corrcoef(p[contexts][mask], sample.true[contexts][mask])[0, 1] for p in predictions]
        )
    return np.array(rows)


def naive_ends(r: np.ndarray, left_out: np.ndarray, interval: IntervalMethod) -> np.ndarray:
    """The ends of an interval, from its definition."""
    if interval == "percentile":
        return np.percentile(r, [2.5, 97.5])
    n, influence = len(left_out), left_out - left_out.mean()
    kurtosis = (influence**4).mean() / (influence**2).mean() ** 2
    degrees = min(n - 1, max(4, 2 * n / (kurtosis - 1)))
    tail = norm.cdf(-np.sqrt(n / (n - 1)) * t.ppf(0.975, degrees))
    return np.quantile(r, [tail, 1 - tail])


@pytest.mark.parametrize("interval", ["percentile", "expanded"])
def test_interval_equals_a_naive_resampling_loop(make_sample, interval: IntervalMethod):
    sample = replace(make_sample(1), resampling=Resampling(interval=interval))
    counts = resample_counts(len(np.unique(sample.document)), seed=5)
    r = naive_draws(sample, [sample.predicted], counts)[:, 0]
    left_out = naive_draws(sample, [sample.predicted], 1 - np.eye(counts.shape[1]))[:, 0]
    assert bootstrap_r(sample, seed=5) == pytest.approx(
        (
            np.corrcoef(sample.predicted[sample.mask], sample.true[sample.mask])[0, 1],
            *naive_ends(r, left_out, interval),
        )
    )


def test_paired_difference_equals_a_naive_resampling_loop(make_sample):
    sample = replace(make_sample(2), resampling=Resampling(interval="percentile"))
    rival = sample.true + 3 * np.random.default_rng(1).standard_normal(sample.true.shape)
    counts = resample_counts(len(np.unique(sample.document)), seed=6)
    r = naive_draws(sample, [sample.predicted, rival], counts)
    interval = bootstrap_difference(sample, rival, seed=6)
    assert interval[1:] == pytest.approx(np.percentile(r[:, 0] - r[:, 1], [2.5, 97.5]))


def test_a_prediction_against_itself_differs_by_nothing(make_sample):
    sample = make_sample()
    assert bootstrap_difference(sample, sample.predicted) == (0.0, 0.0, 0.0)


def test_every_resample_has_as_many_documents():
    counts = resample_counts(17, seed=0)
    assert counts.shape == (RESAMPLES, 17)
    assert (counts.sum(axis=1) == 17).all()


def test_one_document_has_no_interval(make_sample):
    sample = make_sample()
    alone = Sample(sample.predicted, sample.true, sample.mask, np.zeros(len(sample), int))
    interval = bootstrap_r(alone)
    assert interval.low is None
    assert interval.high is None
    assert interval.value == pytest.approx(bootstrap_r(sample).value)


def test_a_rare_prediction_gives_numbers_also_where_a_resample_misses_it(make_sample):
    sample = make_sample()
    spike = np.zeros_like(sample.true)
    spike[0, 2] = 0.1
    interval = bootstrap_r(sample.with_prediction(spike))
    assert np.isfinite(np.array(interval, dtype=float)).all()


def test_the_interval_covers(make_sample):
    # Independent documents, true r = 0.5 / sqrt(1.25): the 95 % percentile interval should miss
    # about 1 in 20.
    truth = 0.5 / np.sqrt(1.25)
    hits = 0
    for seed in range(100):
        interval = bootstrap_r(make_sample(seed, contexts=60, documents=60), seed)
        assert interval.low is not None
        assert interval.high is not None
        hits += interval.low <= truth <= interval.high
    assert 86 <= hits <= 99


def test_same_seed_same_interval(make_sample):
    sample = make_sample()
    assert bootstrap_r(sample, 3) == bootstrap_r(sample, 3)
    assert bootstrap_r(sample, 3) != bootstrap_r(sample, 4)


def heavy_tailed_documents(rng: np.random.Generator, n: int) -> np.ndarray:
    """Moments of documents in which a unit seldom fires, and then hard."""
    rows = []
    for _ in range(n):
        tokens = int(np.clip(rng.lognormal(5, 0.6), 10, 2000))
        fires = rng.random(tokens) < 0.005 * rng.gamma(0.1, 10)
        true = np.where(fires, rng.exponential(1, tokens) ** 1.5, 0)
        true = true + 0.1 * rng.standard_normal(tokens)
        says = (fires & (rng.random(tokens) < 0.7)) | (rng.random(tokens) < 0.0015)
        predicted = np.where(says, rng.choice([0.5, 1.0], tokens), 0)
        terms = (np.ones(tokens), predicted, true, predicted**2, true**2, predicted * true)
        rows.append([term.sum() for term in terms])
    return np.array(rows)


def test_the_interval_covers_the_truth_where_few_documents_decide():
    rng = np.random.default_rng(0)
    population = heavy_tailed_documents(rng, 1500)
    truth = float(pearson_from_moments(population.sum(axis=0)))
    counts: dict[IntervalMethod, int] = {"percentile": 0, "expanded": 0}
    for _ in range(400):
        drawn = population[rng.integers(0, len(population), 20)]
        for interval in counts:
            low, high = ends(bootstrap(drawn, pearson_from_moments, 0, interval))
            counts[interval] += low <= truth <= high
    assert counts["percentile"] < 0.89 * 400
    assert counts["expanded"] > counts["percentile"] + 0.02 * 400


def ends(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


def with_copies(sample: Sample) -> Sample:
    """The sample with a near-duplicate of each document."""
    return Sample(
        np.concatenate([sample.predicted, sample.predicted]),
        np.concatenate([sample.true, sample.true]),
        np.concatenate([sample.mask, sample.mask]),
        np.concatenate([sample.document, sample.document + 1000]),
        np.concatenate([sample.document, sample.document]),
    )


def test_near_duplicates_are_one_unit(make_sample):
    sample = make_sample(1)
    twice = with_copies(sample)
    once, grouped = bootstrap_r(sample), bootstrap_r(twice)
    assert grouped == pytest.approx(once)
    assert twice.active_documents() == sample.active_documents()
    over_itself = bootstrap_difference(twice, np.roll(twice.predicted, 1, axis=1))
    assert over_itself == pytest.approx(
        bootstrap_difference(sample, np.roll(sample.predicted, 1, axis=1))
    )
    documents = replace(twice, resampling=Resampling(unit="document"))
    (low, high), (once_low, once_high) = ends(bootstrap_r(documents)), ends(once)
    assert high - low < 0.8 * (once_high - once_low)  # too narrow: copies tell nothing new


def test_a_permutation_test_sees_one_of_near_duplicates(make_sample):
    sample = make_sample(3)
    assert permutation_test(with_copies(sample), seed=2) == permutation_test(sample, seed=2)


def test_a_run_before_intervals_were_recorded_used_percentiles_over_documents():
    assert Resampling.from_settings({}) == Resampling("document", "percentile", "context")
    assert Resampling.from_settings(Resampling().to_settings()) == Resampling()
    with pytest.raises(CorruptError, match="newer hubel"):
        Resampling.from_settings({"unit": "group", "interval": "bca"})
