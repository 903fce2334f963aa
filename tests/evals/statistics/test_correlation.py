from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hubel.evals.statistics.correlation import (
    context_moments,
    document_moments,
    pearson,
    pearson_from_moments,
)
from hubel.evals.statistics.sample import Sample


@pytest.mark.parametrize("seed", range(5))
def test_pearson_is_scipys_over_the_mask(make_sample, seed):
    sample = make_sample(seed)
    expected, _ = stats.pearsonr(sample.predicted[sample.mask], sample.true[sample.mask])
    assert pearson(sample) == pytest.approx(expected, abs=1e-12)


def test_documents_add_up_to_the_whole(make_sample):
    sample = make_sample(3)
    by_document, by_context = document_moments(sample), context_moments(sample)
    assert len(by_document) == len(np.unique(sample.document))
    np.testing.assert_allclose(by_document.sum(axis=0), by_context.sum(axis=0), atol=1e-10)
    np.testing.assert_allclose(
        pearson_from_moments(by_document.sum(axis=0)), pearson(sample), atol=1e-12
    )


def test_moments_of_one_document_give_its_own_r(make_sample):
    sample = make_sample(4)
    for document, r in zip(
        np.unique(sample.document), pearson_from_moments(document_moments(sample)), strict=True
    ):
        inside = sample.mask & (sample.document == document)[:, None]
        assert r == pytest.approx(
            np.corrcoef(sample.predicted[inside], sample.true[inside])[0, 1], abs=1e-10
        )


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e-300, 1e30, 1 / 3])
def test_a_constant_scores_exactly_zero(make_sample, constant):
    sample = make_sample()
    flat = np.full(sample.true.shape, constant)
    assert pearson(sample.with_prediction(flat)) == 0.0
    assert pearson(Sample(sample.predicted, flat, sample.mask, sample.document)) == 0.0


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_numbers_whose_squares_do_not_fit_are_no_trouble(make_sample, scale):
    sample = make_sample()
    assert pearson(sample.with_prediction(sample.predicted * scale)) == pytest.approx(
        pearson(sample), abs=1e-12
    )


def test_a_large_offset_costs_no_digits(make_sample):
    sample = make_sample()
    assert pearson(sample.with_prediction(sample.predicted + 1e6)) == pytest.approx(
        pearson(sample), abs=1e-8
    )
