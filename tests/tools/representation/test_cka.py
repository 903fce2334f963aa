"""Debiased CKA against its definition, its invariances and independent noise."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.tools.errors import UsageError
from hubel.tools.representation.cka import Form, cka
from hubel.tools.representation.folds import fold_of_rows


def related_layers(n_rows: int = 120, seed: int = 0) -> list[np.ndarray]:
    """Three layers of different widths that share some of their structure."""
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((n_rows, 6))
    return [
        shared @ rng.standard_normal((6, width)) + noise * rng.standard_normal((n_rows, width))
        for width, noise in ((10, 0.5), (14, 1.5), (8, 3.0))
    ]


def direct_cka(x: np.ndarray, y: np.ndarray) -> float:
    """The estimate as Song et al. write it, with arrays of rows by rows."""

    def hsic(k: np.ndarray, m: np.ndarray) -> float:
        n = len(k)
        ones = np.ones(n)
        total = np.trace(k @ m) + ones @ k @ ones * (ones @ m @ ones) / ((n - 1) * (n - 2))
        return float((total - 2 / (n - 2) * ones @ k @ m @ ones) / (n * (n - 3)))

    def gram(vectors: np.ndarray) -> np.ndarray:
        scaled = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
        return scaled @ scaled.T * (1 - np.eye(len(vectors)))

    k, m = gram(x), gram(y)
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


@pytest.mark.parametrize("form", ["gram", "features"])
def test_both_forms_equal_the_definition_on_all_rows(form: Form) -> None:
    layers = related_layers()
    expected = [[direct_cka(x, y) for y in layers] for x in layers]
    np.testing.assert_allclose(cka(layers, form=form).values, expected, atol=2e-6)


@pytest.mark.parametrize("form", ["gram", "features"])
def test_without_a_fold_it_is_the_estimate_on_the_other_rows(form: Form) -> None:
    """The scale of the columns stays that of all rows."""
    layers = related_layers()
    groups = np.arange(120) // 4
    similarity = cka(layers, groups, folds=6, form=form)
    scaled = [(x - x.mean(axis=0)) / x.std(axis=0) for x in layers]
    fold = fold_of_rows(groups, folds=6)
    for number, matrix in enumerate(similarity.without):
        kept = [x[fold != number] for x in scaled]
        again = cka(kept, standardise=False, form=form).values
        np.testing.assert_allclose(matrix, again, atol=2e-6)


def test_a_layer_is_itself_after_rotation_and_scaling() -> None:
    (x, *_) = related_layers()
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((10, 10)))[0]
    values = cka([x, x, 7.5 * x @ rotation - 3], standardise=False).values
    np.testing.assert_allclose(values, np.ones((3, 3)), atol=1e-5)


def test_independent_gaussians_have_nothing_in_common() -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((2000, 576)) for _ in range(2))
    similarity = cka([x, y])
    assert abs(similarity.values[0, 1]) < 0.02
    assert similarity.interval(lambda matrix: matrix[0, 1]).low < 0
    biased = np.linalg.norm(x.T @ y) ** 2
    biased /= np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    assert biased > 0.2  # what the usual estimate says


def test_the_interval_covers_what_many_rows_give() -> None:
    layers = related_layers(20_000, seed=5)
    truth = cka(layers).values[0, 1]
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        rows = rng.choice(20_000, 100, replace=False)
        interval = cka([x[rows] for x in layers], folds=10).interval(lambda matrix: matrix[0, 1])
        covered += interval.low <= truth <= interval.high
    assert covered >= 52


def test_what_cannot_be_compared_is_refused_in_one_line() -> None:
    x, y, _ = related_layers()
    with pytest.raises(UsageError, match=r"layers with \[119, 120\] rows given"):
        cka([x, y[:-1]])
    with pytest.raises(UsageError, match="12 rows given; similarity needs at least 20"):
        cka([x[:12], y[:12]])
    with pytest.raises(UsageError, match="in 3 groups given; an interval needs at least 5"):
        cka([x, y], np.arange(120) // 40)
    with pytest.raises(UsageError, match="layer 1 is the same in all 120 rows"):
        cka([x, np.ones((120, 4))])
    y[3, 3] = np.nan
    with pytest.raises(UsageError, match="layer 1 has numbers that are not finite"):
        cka([x, y])
