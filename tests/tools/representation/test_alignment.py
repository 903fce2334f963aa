"""Procrustes, SVCCA and RSA against other libraries and their invariances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial import procrustes
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from hubel.tools.errors import UsageError
from hubel.tools.representation.alignment import Alignment, alignment

from .test_cka import related_layers

MEASURES: list[Alignment] = ["procrustes", "svcca", "rsa"]


def scaled(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=0)) / x.std(axis=0)


def test_procrustes_is_what_scipy_leaves_over() -> None:
    x, _, z = related_layers()
    value = alignment([x, z], "procrustes").values[0, 1]
    padded = np.pad(scaled(z), ((0, 0), (0, 2)))  # scipy wants equal widths
    _, _, disparity = procrustes(scaled(x), padded)
    assert value == pytest.approx(np.sqrt(1 - disparity), abs=1e-5)


def test_svcca_is_the_mean_canonical_correlation() -> None:
    from sklearn.cross_decomposition import CCA

    x, _, z = related_layers()
    pairs = CCA(8, max_iter=5000, tol=1e-9).fit_transform(x, z)
    canonical = [np.corrcoef(pairs[0][:, i], pairs[1][:, i])[0, 1] for i in range(8)]
    assert alignment([x, z], "svcca").values[0, 1] == pytest.approx(np.mean(canonical), abs=1e-4)


def test_rsa_is_the_rank_correlation_of_distances() -> None:
    x, _, z = related_layers()
    result: Any = spearmanr(pdist(scaled(x)), pdist(scaled(z)))
    assert alignment([x, z], "rsa").values[0, 1] == pytest.approx(result.statistic, abs=1e-5)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_layer_is_itself_and_more_like_its_neighbour_than_like_noise(measure: Alignment) -> None:
    x, y, _ = related_layers(300)
    noise = np.random.default_rng(9).standard_normal((300, 12))
    similarity = alignment([x, y, noise, -4 * x[:, ::-1] + 2], measure)
    np.testing.assert_allclose(np.diag(similarity.values), 1, atol=1e-6)
    assert similarity.values[0, 3] == pytest.approx(1, abs=1e-5)
    assert similarity.interval(lambda v: v[0, 1] - v[0, 2]).low > 0


def test_without_a_fold_are_the_other_rows() -> None:
    x, y, _ = related_layers(60)
    similarity = alignment([x, y], "procrustes", np.arange(60) // 10)
    assert similarity.without.shape == (6, 2, 2)
    assert not np.allclose(similarity.without, similarity.values)
    with pytest.raises(UsageError, match="only 19 without the largest group"):
        alignment([x, y], "procrustes", np.maximum(np.arange(60), 40))
