"""Maps of planted blobs, their trustworthiness, and purity among other groups."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from hubel.tools.errors import UnavailableError, UsageError
from hubel.tools.representation.maps import (
    MapMethod,
    make_map,
    neighbours_from_other_groups,
    purity,
)

needs_umap = pytest.mark.skipif(find_spec("umap") is None, reason="umap-learn is not installed")
METHODS = ["pca", "tsne", pytest.param("umap", marks=[needs_umap, pytest.mark.slow])]


def blobs(n_rows: int = 90, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three well separated blobs in 30 dimensions, and the blob of each row."""
    rng = np.random.default_rng(seed)
    label = np.arange(n_rows) % 3
    return rng.standard_normal((3, 30))[label] * 4 + rng.standard_normal((n_rows, 30)), label


@pytest.mark.parametrize("method", METHODS)
def test_three_blobs_are_apart_and_the_same_seed_gives_the_same_map(method: MapMethod) -> None:
    vectors, label = blobs()
    drawn = make_map(vectors, method, seed=3)
    nearest = neighbours_from_other_groups(drawn.points, np.arange(90), k=5)
    assert purity(nearest, label).min() == 1
    assert drawn.trustworthiness > 0.75 > drawn.random
    np.testing.assert_array_equal(make_map(vectors, method, seed=3).points, drawn.points)


def test_the_axes_of_pca_are_the_largest_singular_values() -> None:
    vectors, _ = blobs()
    scaled = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    spectrum = np.linalg.svd(scaled, compute_uv=False) ** 2
    drawn = make_map(vectors)
    assert drawn.explained is not None
    np.testing.assert_allclose(drawn.explained, spectrum[:2] / spectrum.sum(), atol=1e-6)
    np.testing.assert_allclose((drawn.points**2).sum(axis=0), spectrum[:2], rtol=1e-5)


def test_a_plane_is_mapped_with_full_trust() -> None:
    rng = np.random.default_rng(0)
    plane = rng.standard_normal((200, 2)) @ np.linalg.qr(rng.standard_normal((10, 10)))[0][:2]
    drawn = make_map(plane)
    assert drawn.trustworthiness > 0.98
    assert drawn.random == pytest.approx(0.5, abs=0.05)


def test_neighbours_of_the_own_group_do_not_count() -> None:
    points = np.array([[0.0], [0.1], [1.0], [1.1], [5.0], [5.1]])
    group = np.array([0, 0, 1, 1, 2, 2])
    nearest = neighbours_from_other_groups(points, group, k=2)
    assert nearest.tolist() == [[2, 3], [2, 3], [1, 0], [1, 0], [3, 2], [3, 2]]
    assert purity(nearest, np.array([0, 0, 0, 0, 1, 1])).tolist() == [1, 1, 1, 1, 0, 0]
    with pytest.raises(UsageError, match="4 of them in one group; purity needs 3"):
        neighbours_from_other_groups(points, np.array([0, 0, 0, 0, 1, 1]), k=3)


def test_a_missing_extra_and_too_few_texts_are_one_line() -> None:
    vectors, _ = blobs(30)
    with pytest.raises(UsageError, match="30 rows given; a map needs at least 32 texts"):
        make_map(vectors)
    if find_spec("umap") is None:
        with pytest.raises(UnavailableError, match=r"pip install 'hubel\[umap\]', or choose pca"):
            make_map(blobs()[0], "umap")
