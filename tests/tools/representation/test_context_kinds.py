"""Kinds of contexts: the best cut, outliers, and the null of one cloud."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from hubel.tools.errors import UsageError
from hubel.tools.representation.context_kinds import best_kinds, one_cloud, reduced, silhouette_of

WORD = np.repeat(np.arange(20), 3)


def clouds(apart: float, seed: int = 0) -> np.ndarray:
    """Three contexts of each of 20 words; words with odd numbers are in the second cloud."""
    random = np.random.default_rng(seed)
    words = random.normal(size=(20, 4))
    words[1::2] += apart
    return words[WORD] + 0.3 * random.normal(size=(60, 4))


def test_two_clouds_are_two_kinds_with_the_silhouette_that_scikit_learn_gives() -> None:
    points = clouds(12)
    kinds = best_kinds(points, WORD)
    assert kinds.n_kinds == 2
    assert len(set(zip(kinds.kind, WORD % 2, strict=True))) == 2
    assert kinds.silhouette == pytest.approx(np.mean(silhouette_samples(points, WORD % 2)))


def test_a_word_far_from_all_others_is_an_outlier_and_no_kind() -> None:
    points = clouds(12)
    points[WORD == 7] += 200
    kinds = best_kinds(points, WORD)
    assert kinds.kind[WORD == 7].tolist() == [-1] * 3
    assert kinds.n_kinds == 2
    assert silhouette_of(points, np.zeros(60, dtype=int)) == 0


def test_one_cloud_has_the_covariances_between_and_within_words() -> None:
    points = clouds(2)
    draws = [one_cloud(points, WORD, np.random.default_rng(seed)) for seed in range(400)]

    def between(rows: np.ndarray) -> np.ndarray:
        return np.cov(rows.reshape(20, 3, 4).mean(axis=1).T)

    def within(rows: np.ndarray) -> np.ndarray:
        inside = rows.reshape(20, 3, 4) - rows.reshape(20, 3, 4).mean(axis=1, keepdims=True)
        return inside.reshape(60, 4).T @ inside.reshape(60, 4) / 40

    for of in (between, within):
        np.testing.assert_allclose(
            np.mean([of(d) for d in draws], axis=0), of(points), rtol=0.1, atol=0.05
        )


def test_vectors_that_are_all_the_same_are_refused() -> None:
    with pytest.raises(UsageError, match="is the same in all 30 rows"):
        reduced(np.ones((30, 5)), "the contexts")
