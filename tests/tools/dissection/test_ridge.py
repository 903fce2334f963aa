"""Gains, moments and grades against direct computation."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.tools.dissection.ridge import RIDGE, SHRINK, RidgeMoments, cv_gain, fit_levels

RNG = np.random.default_rng(0)
FOLD = RNG.integers(0, 4, 600)
COLUMNS = [(RNG.random(600) < share).astype(float) for share in (0.1, 0.3, 0.05)]
SIGNAL = 2 * COLUMNS[0] - 0.5 * COLUMNS[1] + RNG.normal(0, 0.3, 600)


def moments() -> RidgeMoments:
    chosen = RidgeMoments.start(SIGNAL, FOLD, 4)
    for column in COLUMNS:
        chosen = chosen.added(column)
    return chosen


def ridge(rows: np.ndarray) -> np.ndarray:
    matrix = np.stack([np.ones(600), *COLUMNS], axis=1)
    penalty = np.vstack([np.zeros((3, 1)), np.zeros((0, 1))])
    extra = np.hstack([penalty, np.sqrt(RIDGE) * np.eye(3)])
    stacked = np.vstack([matrix[rows], extra])
    return np.linalg.lstsq(stacked, np.concatenate([SIGNAL[rows], np.zeros(3)]), rcond=None)[0]


def test_weights_and_residual_are_those_of_least_squares_with_pseudo_rows() -> None:
    weights = ridge(np.arange(600))
    np.testing.assert_allclose(moments().weights(), weights, atol=1e-8)
    residual = SIGNAL - np.stack([np.ones(600), *COLUMNS], axis=1) @ weights
    np.testing.assert_allclose(moments().residual(), residual, atol=1e-8)


def test_error_is_that_of_predicting_each_fold_from_the_others() -> None:
    matrix, total = np.stack([np.ones(600), *COLUMNS], axis=1), 0.0
    for f in range(4):
        weights = ridge(np.flatnonzero(f != FOLD))
        total += float(((SIGNAL - matrix @ weights)[f == FOLD] ** 2).sum())
    assert moments().error() == pytest.approx(total, rel=1e-9)


def test_removing_a_concept_is_never_having_added_it() -> None:
    without = moments().removed(1)
    direct = RidgeMoments.start(SIGNAL, FOLD, 4).added(COLUMNS[0]).added(COLUMNS[2])
    np.testing.assert_allclose(without.weights(), direct.weights())
    assert without.error() == pytest.approx(direct.error())


def test_the_gain_of_a_concept_is_its_drop_in_error_on_the_folds_left_out() -> None:
    centred, expected = SIGNAL - SIGNAL.mean(), []
    for column in COLUMNS:
        total = 0.0
        for f in range(4):
            rest, held = (f != FOLD) & (column > 0), (f == FOLD) & (column > 0)
            weight = centred[rest].sum() / (rest.sum() + SHRINK)
            total += float((centred[held] ** 2).sum() - ((centred[held] - weight) ** 2).sum())
        expected.append(total)
    by_fold = [f == FOLD for f in range(4)]
    sums = np.array([[centred[(c > 0) & f].sum() for f in by_fold] for c in COLUMNS])
    counts = np.array([[((c > 0) & f).sum() for f in by_fold] for c in COLUMNS])
    np.testing.assert_allclose(cv_gain(sums, counts), expected)


def test_grades_are_the_best_of_all_gradings_by_brute_force() -> None:
    fit = fit_levels(moments(), (1, 2, 4, 8))
    signs = np.sign(moments().weights()[1:]).astype(int)
    matrix = np.stack(COLUMNS, axis=1)
    options = np.array(np.meshgrid(*[(1, 2, 4, 8)] * 3)).reshape(3, -1).T * signs
    scores = [np.corrcoef(matrix @ levels, SIGNAL)[0, 1] for levels in options]
    assert np.corrcoef(matrix @ fit.levels, SIGNAL)[0, 1] == pytest.approx(max(scores))
    assert (fit.step * (matrix @ fit.levels) + fit.rest).mean() == pytest.approx(SIGNAL.mean())
