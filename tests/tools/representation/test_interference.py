"""Interference of directions against closed forms, and toy models against the polytopes they learn."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.tools.errors import UsageError
from hubel.tools.representation.folds import fold_of_rows
from hubel.tools.representation.interference import overlap, random_like, unit_rows
from hubel.tools.representation.toy_superposition import stored_features


def polygon(corners: int) -> np.ndarray:
    angle = 2 * np.pi * np.arange(corners) / corners
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def test_a_pentagon_gives_each_feature_two_fifths_of_a_dimension() -> None:
    measured = overlap(np.tile(polygon(5), (2, 1)) * 3.0)  # two pentagons, one on the other
    assert measured.dimensions == pytest.approx(1 / 5)
    cosines = [np.cos(2 * np.pi / 5), np.cos(4 * np.pi / 5)]
    assert cosines == pytest.approx([0.309, -0.809], abs=5e-4)
    squared = (2 * sum(c**2 for c in cosines) * 2 + 1) / 9
    assert measured.squared.mean == pytest.approx(squared)


def test_equally_spread_directions_reach_the_bound_and_orthogonal_ones_have_no_overlap() -> None:
    spread = overlap(polygon(12))
    assert spread.squared.mean == pytest.approx(spread.bound)
    orthogonal = overlap(np.eye(12))
    assert (orthogonal.squared.mean, orthogonal.bound) == (0, 0)
    assert orthogonal.dimensions == pytest.approx(1)


def test_random_directions_have_one_over_the_width() -> None:
    measured = overlap(random_like(np.zeros((3000, 50)), seed=0))
    assert measured.squared.mean == pytest.approx(1 / 50, rel=0.01)
    assert measured.fourth.mean == pytest.approx(3 / (50 * 52), rel=0.02)


def test_without_a_fold_is_the_mean_over_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubel.tools.representation.interference.BLOCK", 7)
    directions = np.random.default_rng(0).standard_normal((40, 6))
    measured, fold = overlap(directions, seed=2), fold_of_rows(np.arange(40), seed=2)
    moments = zip(measured.squared.without, measured.fourth.without, strict=True)
    for left, (squared, fourth) in enumerate(moments):
        unit = unit_rows(directions[fold != left])
        pairs = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
        assert squared == pytest.approx((pairs**2).mean())
        assert fourth == pytest.approx((pairs**4).mean())
    unit = unit_rows(directions)
    cosines = unit @ unit.T - np.eye(40)
    assert measured.partner.tolist() == np.abs(cosines).argmax(axis=1).tolist()
    assert measured.signed == pytest.approx(cosines[np.arange(40), measured.partner])


def test_random_directions_can_share_the_second_moments() -> None:
    narrow = np.random.default_rng(1).standard_normal((5000, 8)) * [5, 3, 1, 1, 1, 1, 1, 1]
    drawn = unit_rows(random_like(narrow, 0, same_spectrum=True))
    unit = unit_rows(narrow)
    np.testing.assert_allclose(drawn.T @ drawn / 5000, unit.T @ unit / 5000, atol=0.02)
    assert overlap(drawn).squared.mean == pytest.approx(overlap(unit).squared.mean, rel=0.01)


def test_dense_features_are_no_pentagon_and_four_sparse_ones_are_two_pairs() -> None:
    four = unit_rows(stored_features(4, seed=1, steps=800, models=4))
    assert np.sort(np.round(four @ four.T, 1), axis=1).tolist() == [[-1, 0, 0, 1]] * 4
    dense = stored_features(5, sparsity=0.0, steps=200, models=1)
    lengths = np.linalg.norm(dense, axis=1)
    assert lengths.min() < 0.5 * lengths.max()


def test_a_direction_of_length_0_and_too_few_are_refused() -> None:
    with pytest.raises(UsageError, match="direction 3 has the length 0"):
        overlap(np.array([[1.0, 2.0]] * 3 + [[0.0, 0.0]] + [[1.0, 0.0]] * 8))
    with pytest.raises(UsageError, match="5 directions given; an interval needs at least 10"):
        overlap(polygon(5))
