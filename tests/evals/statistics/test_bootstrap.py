from __future__ import annotations

import numpy as np
import pytest

from hubel.evals.statistics.bootstrap import (
    RESAMPLES,
    bootstrap_difference,
    bootstrap_r,
    resample_counts,
)
from hubel.evals.statistics.sample import Sample


def naive_draws(sample: Sample, predictions: list[np.ndarray], counts: np.ndarray) -> np.ndarray:
    """r of each prediction on each resample, by writing the drawn documents' tokens end to end."""
    documents = np.unique(sample.document)
    rows = []
    for count in counts.astype(int):
        contexts = [
            c
            for d, k in zip(documents, count, strict=True)
            for _ in range(k)
            for c in np.flatnonzero(sample.document == d)
        ]
        mask = sample.mask[contexts]
        rows.append(
            [np.corrcoef(p[contexts][mask], sample.true[contexts][mask])[0, 1] for p in predictions]
        )
    return np.array(rows)


def test_interval_equals_a_naive_resampling_loop(make_sample):
    sample = make_sample(1)
    counts = resample_counts(len(np.unique(sample.document)), seed=5)
    r = naive_draws(sample, [sample.predicted], counts)[:, 0]
    assert bootstrap_r(sample, seed=5) == pytest.approx(
        (
            np.corrcoef(sample.predicted[sample.mask], sample.true[sample.mask])[0, 1],
            *np.percentile(r, [2.5, 97.5]),
        )
    )


def test_paired_difference_equals_a_naive_resampling_loop(make_sample):
    sample = make_sample(2)
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
