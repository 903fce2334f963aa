"""Bounds of explanations: exhaustive, greedy and full searches against naive loops and scikit-learn."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LinearRegression, Ridge

from hubel.agent.explainers.ten_tokens import TenTokens
from hubel.agent.runlog.progress import Reporter
from hubel.bench.explanations import bounds as bounds_module
from hubel.bench.explanations.best_subset import (
    best_subset,
    best_triples,
    centred_gram,
    least_error,
    moments_of,
)
from hubel.bench.explanations.bounds import FIGURES, bound_means, bounds, bounds_of
from hubel.bench.explanations.concept_table import ConceptTable
from hubel.bench.explanations.full_ridge import tuned_weights
from hubel.bench.explanations.measure import ExplanationBench
from hubel.bench.explanations.units import DrawnUnits, UnitDraw
from hubel.tools.index import Index
from hubel.tools.subject.subject import Subject


def columns_and_signal(seed: int, n: int = 200, columns: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """0/1 columns (columns x positions), correlated with each other, and a signal of some of them."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(columns, n)) + rng.normal(size=n)
    held = (hidden > 0.5).astype(float)
    return held, rng.normal(size=columns) @ held + rng.normal(size=n) * 2


def explained(held: np.ndarray, signal: np.ndarray) -> float:
    """The drop in squared error of least squares, by scikit-learn."""
    residual = signal - LinearRegression().fit(held.T, signal).predict(held.T)
    return float(((signal - signal.mean()) ** 2).sum() - residual @ residual)


@pytest.mark.parametrize("seed", range(5))
def test_no_triple_explains_more_than_the_best(seed: int) -> None:
    held, signal = columns_and_signal(seed)
    rows = csr_matrix(held)
    moments = moments_of(centred_gram(rows), rows, signal)
    triples = best_triples(moments, 1e-9)
    found = max(explained(held[triple], signal) for triple in triples)
    naive = max(explained(held[list(t)], signal) for t in combinations(range(len(held)), 3))
    assert found == pytest.approx(naive)
    for first, *later in triples.tolist():
        rest = combinations(range(first + 1, len(held)), 2)
        best = max(rest, key=lambda pair: explained(held[[first, *pair]], signal))
        assert (first, *later) == (first, *best)


def test_the_triple_that_is_used_has_the_least_error_on_the_folds_left_out() -> None:
    held, signal = columns_and_signal(3)
    fold = np.arange(len(signal)) % 4
    triples = np.array(list(combinations(range(len(held)), 3)))

    def moments(kept: np.ndarray):
        rows = csr_matrix(held[:, kept])
        return moments_of(centred_gram(rows), rows, signal[kept])

    whole, parts = moments(fold < 4), [moments(fold != f) for f in range(4)]
    chosen = least_error(triples, whole, parts, 1e-9)

    def error(triple: tuple[int, ...]) -> float:
        """Of slopes from the other folds, with the mean of all and those of the other folds."""
        total = 0.0
        for f in range(4):
            fit = LinearRegression().fit(held[list(triple)][:, fold != f].T, signal[fold != f])
            residual = signal - fit.coef_ @ held[list(triple)]
            other = residual[fold != f] - residual[fold != f].mean()
            total += ((residual - residual.mean()) ** 2).sum() - (other**2).sum()
        return total

    assert tuple(chosen) == min(map(tuple, triples.tolist()), key=error)


@pytest.mark.parametrize("seed", range(5))
def test_greedy_with_swaps_ends_where_no_swap_explains_more(seed: int) -> None:
    held, signal = columns_and_signal(seed, columns=12)
    rows = csr_matrix(held)
    chosen = best_subset(moments_of(centred_gram(rows), rows, signal), 4, 1e-9)
    assert len(set(chosen.tolist())) == 4
    value = explained(held[chosen], signal)
    for place in range(4):
        for other in set(range(12)) - set(chosen.tolist()):
            swapped = chosen.copy()
            swapped[place] = other
            assert explained(held[swapped], signal) <= value + 1e-6


def test_swaps_undo_what_greed_chose_too_early() -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.random((2, 400)) < 0.5).astype(float)
    noise = (rng.random(400) < 0.25).astype(float)
    both = np.abs(np.clip(first + second, 0, 1) - noise)  # alone it explains more than either
    held = np.array([both, first, second])
    signal = first + second
    alone = [explained(column[None], signal) for column in held]
    rows = csr_matrix(held)
    chosen = best_subset(moments_of(centred_gram(rows), rows, signal), 2, 1e-9)
    assert set(chosen.tolist()) == {1, 2}, alone


def test_ridge_over_everything_is_that_of_scikit_learn_and_the_better_ridge_is_used() -> None:
    held, signal = columns_and_signal(1, n=300, columns=30)
    noise = np.random.default_rng(5).normal(size=300)
    signals, kept = np.array([signal, noise]), np.arange(300) % 4 != 0

    def moments(part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = csr_matrix(held[:, part])
        products = [moments_of(np.eye(1), rows, s[part]).product for s in signals]
        return centred_gram(rows), np.array(products).T

    weights, ridges = tuned_weights(*moments(kept | True), *moments(kept), (1.0, 1e6))
    assert ridges.tolist() == [1.0, 1e6]  # noise is predicted best by its mean
    for signal, weight, ridge in zip(signals, weights.T, ridges, strict=True):
        np.testing.assert_allclose(weight, Ridge(alpha=ridge).fit(held.T, signal).coef_, atol=1e-8)


def planted_table(seed: int, positions: int = 3000) -> tuple[ConceptTable, np.ndarray, np.ndarray]:
    """A table of random concepts, and a signal on explore and holdout that is three of them."""
    rng = np.random.default_rng(seed)
    held = (rng.random((2, 40, positions)) < 0.1).astype(float)
    weights = np.zeros(40)
    weights[[3, 17, 30]] = 3, -2, 1
    signals = np.einsum("c,scp->sp", weights, held) + rng.normal(size=(2, positions))
    place = np.arange(positions)
    vectors = held[0].T[:, :5], held[1].T[:, :5]
    here, there = (csr_matrix(part) for part in held)
    table = ConceptTable(here, there, place % 4, place // 4 % 4, place % 2, place % 7 == 0, vectors)
    return table, signals[:1], signals[1:]


def test_a_signal_of_three_concepts_is_found_and_one_moved_away_is_not() -> None:
    table, explore, holdout = planted_table(0)
    figures = {
        name: value[0] or 0
        for name, value in bounds_of(table, explore, holdout, [True], Reporter()).items()
    }
    truth = np.array([3, -2, 1]) @ table.holdout[[3, 17, 30]].toarray()
    best = float(np.corrcoef(truth, holdout[0])[0, 1])
    assert figures["headline_best"] == pytest.approx(best, abs=0.005)
    assert figures["headline_hindsight"] == pytest.approx(best, abs=0.005)
    assert best <= figures["headline_hindsight"] < figures["meaning_hindsight"]
    assert figures["headline_moved"] < figures["meaning_moved"] < 0.2
    assert figures["meaning_all"] == pytest.approx(best, abs=0.03)
    assert figures["half_r_best"] > 0.95
    assert 3 / 21 <= figures["half_shared_best"] <= 1
    assert set(figures) == set(FIGURES)


def test_every_unit_of_the_bench_has_bounds_and_what_its_formula_reaches_is_below(
    tiny: Subject, tiny_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds_module, "POOL", 40)
    draw = UnitDraw((0,), neurons=2, heads=0, rotated=1, halves=1)
    bench = ExplanationBench(DrawnUnits(tiny, Index.open(tiny_index), draw), Reporter())
    rows = list(bench.rows(TenTokens()))
    lines = bounds(bench, rows)
    assert [line["target"] for line in lines] == [row.target for row in rows]
    for row, line in zip(rows, lines, strict=True):
        assert (row.figures["headline"] or 0) <= line["headline_hindsight"] + 1e-6
        assert line["headline_hindsight"] <= line["meaning_hindsight"]
    assert [line["half_r_best"] is None for line in lines] == [False, True, False]
    means = bound_means(lines)
    assert [(m["kind"], m["layer"], m["targets"]) for m in means] == [
        ("neuron", 0, 2),
        ("neuron", None, 2),
        ("rotated", 0, 1),
        ("rotated", None, 1),
    ]
    assert means[1]["headline_best"] == pytest.approx(
        np.mean([line["headline_best"] for line in lines[:2]]), abs=1e-4
    )
