"""Concept vectors on planted directions, and p under the null."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.tools.representation.concept_vectors import (
    ConceptMethod,
    concept_vector,
    cosine,
    permutation_p,
    random_concepts,
    stability,
    tcav,
)

WIDTH = 24
SPREAD = np.geomspace(0.1, 30, WIDTH)
"""Of the dimensions: some are far larger than others, as in a residual stream."""


def planted(seed: int = 0, n: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.normal(size=WIDTH)
    truth /= np.linalg.norm(truth)
    y = np.arange(n) % 2
    x = random.normal(size=(n, WIDTH)) + 3 * np.outer(y - 0.5, truth)
    return x * SPREAD, y, truth


@pytest.mark.parametrize("method", ["regression", "means"])
def test_the_planted_direction_is_found_and_stable(method: ConceptMethod) -> None:
    x, y, truth = planted()
    found = concept_vector(x, y, method)
    # on the planted scale: the label itself adds to the spread of its own direction
    raw = found.direction / found.scale if method == "regression" else found.direction * found.scale
    assert cosine(raw * SPREAD if method == "regression" else raw / SPREAD, truth) > 0.95
    assert stability(x, y, np.arange(len(y)), method) > 0.85


def test_random_vectors_are_as_far_apart_as_random_directions() -> None:
    random = np.random.default_rng(1)
    x, y = random.normal(size=(400, WIDTH)), np.arange(400) % 2
    vectors = [each.vector.direction for each in random_concepts(x, y, np.arange(400), 30)]
    cosines = [cosine(a, b) for i, a in enumerate(vectors) for b in vectors[:i]]
    assert np.sqrt(np.mean(np.square(cosines))) == pytest.approx(1 / np.sqrt(WIDTH), rel=0.25)


def test_slopes_are_finite_differences_along_the_direction() -> None:
    x, y, _ = planted()
    vector = concept_vector(x, y)

    def scalar(rows: np.ndarray) -> np.ndarray:
        return np.tanh(rows / SPREAD).sum(axis=1)

    gradients = (1 - np.tanh(x / SPREAD) ** 2) / SPREAD
    step = 1e-6 * vector.direction * vector.scale
    differences = (scalar(x + step) - scalar(x - step)) / 2e-6
    np.testing.assert_allclose(vector.slopes(gradients), differences, rtol=1e-4, atol=1e-6)
    assert tcav(vector, gradients) == (differences > 0).mean()


def test_p_is_uniform_under_the_null() -> None:
    random = np.random.default_rng(0)
    ps = [permutation_p(scores[0], scores[1:]) for scores in random.normal(size=(4000, 20))]
    for level in (0.05, 0.1, 0.5):
        assert np.mean(np.array(ps) <= level + 1e-9) == pytest.approx(level, abs=0.015)
    assert permutation_p(9.0, [0.1] * 19) == 0.05


def test_a_score_below_all_others_is_far_from_them_but_not_above() -> None:
    others = np.linspace(0, 1, 19).tolist()
    assert permutation_p(-9.0, others) == 0.05
    assert permutation_p(-9.0, others, two_sided=False) == 1
