"""Weights of chosen concepts: ridge regression on fold-wise moments, cross-validated error, and grades.

1. Columns are 0/1; moments (Gram matrix, products with the signal) are kept by fold, so that adding or removing a
   concept and cross-validating a formula cost next to nothing.
2. Grades: the step is searched on a grid, every weight goes to its nearest grade, then single grades are changed as
   long as the squared error falls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .concepts import Concept
from .predicate import GRADES, Predicate, Term

if TYPE_CHECKING:
    from jaxtyping import Float, Int

RIDGE = 5.0  # pseudo-positions against a weight
LEVELS = np.array(list(GRADES.values()))
WORD_OF_LEVEL = {level: word for word, level in GRADES.items()}


class Grades(NamedTuple):
    """Signed levels (0: not worth a grade), the activation of one step, and the rest level."""

    levels: Int[np.ndarray, "k"]
    step: float
    rest: float


class Moments:
    """Columns of chosen concepts with the sums that least squares needs, by fold."""

    def __init__(self, signal: Float[np.ndarray, "positions"], fold: Int[np.ndarray, "positions"], folds: int) -> None:
        self.signal = signal
        self.fold = [np.flatnonzero(fold == f) for f in range(folds)]
        self.columns = [np.ones(len(signal))]

    def __len__(self) -> int:
        return len(self.columns) - 1

    def added(self, column: np.ndarray) -> Moments:
        """A copy with one more concept."""
        return self._with([*self.columns, column])

    def removed(self, index: int) -> Moments:
        """A copy without concept ``index`` (from 0)."""
        return self._with([c for i, c in enumerate(self.columns) if i != index + 1])

    def _with(self, columns: list[np.ndarray]) -> Moments:
        other = Moments.__new__(Moments)
        other.signal, other.fold, other.columns = self.signal, self.fold, columns
        return other

    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Gram matrices (folds, k+1, k+1) and products with the signal (folds, k+1)."""
        matrix = np.stack(self.columns, axis=1)
        grams = np.stack([matrix[f].T @ matrix[f] for f in self.fold])
        products = np.stack([matrix[f].T @ self.signal[f] for f in self.fold])
        return grams, products

    def weights(self) -> np.ndarray:
        """Intercept and ridge weights on all folds."""
        grams, products = self.sums()
        return solve(grams.sum(axis=0), products.sum(axis=0))

    def residual(self) -> np.ndarray:
        """Signal minus its prediction."""
        return self.signal - np.stack(self.columns, axis=1) @ self.weights()

    def error(self) -> float:
        """Squared error on folds that did not set the weights."""
        grams, products = self.sums()
        total = 0.0
        for f, rows in enumerate(self.fold):
            weights = solve(grams.sum(axis=0) - grams[f], products.sum(axis=0) - products[f])
            total += float((self.signal[rows] ** 2).sum() - 2 * weights @ products[f] + weights @ grams[f] @ weights)
        return total


def solve(gram: np.ndarray, product: np.ndarray) -> np.ndarray:
    """Ridge weights; the intercept (first) is not shrunk."""
    penalty = np.full(len(gram), RIDGE)
    penalty[0] = 1e-9
    return np.linalg.solve(gram + np.diag(penalty), product)


def grade(moments: Moments) -> Grades:
    """The levels that explain most with one step for all concepts."""
    grams, products = moments.sums()
    gram, product = grams.sum(axis=0), products.sum(axis=0)
    count = gram[0, 0]
    gram = gram[1:, 1:] - np.outer(gram[0, 1:], gram[0, 1:]) / count
    product = product[1:] - product[0] * np.asarray([c.sum() for c in moments.columns[1:]]) / count
    weights = moments.weights()[1:]
    if not len(weights):
        return Grades(np.zeros(0, int), 1.0, float(moments.signal.mean()))
    largest = np.abs(weights).max()
    starts = [_nearest(weights / step) for step in largest / 8 * 2.0 ** np.linspace(-0.75, 2.5, 27)]
    levels = max((_improve(start, gram, product) for start in starts), key=lambda v: _explained(v, gram, product))
    step = float(levels @ product / (levels @ gram @ levels))
    means = np.array([c.mean() for c in moments.columns[1:]])
    return Grades(levels, step, float(moments.signal.mean() - step * levels @ means))


def _nearest(ratios: np.ndarray) -> np.ndarray:
    """Signed level nearest on a log scale."""
    steps = np.clip(np.round(np.log2(np.maximum(np.abs(ratios), 1e-9))), 0, len(LEVELS) - 1).astype(int)
    return np.where(ratios < 0, -1, 1) * LEVELS[steps]


def _explained(levels: np.ndarray, gram: np.ndarray, product: np.ndarray) -> float:
    """Squared signal that these levels explain at their best step; negative steps explain nothing."""
    along = float(levels @ product)
    return along * abs(along) / float(levels @ gram @ levels + 1e-9)


def _improve(levels: np.ndarray, gram: np.ndarray, product: np.ndarray) -> np.ndarray:
    best, levels = _explained(levels, gram, product), levels.copy()
    changed = True
    while changed:
        changed = False
        for i in range(len(levels)):
            kept = levels[i]
            for level in LEVELS * np.sign(kept):
                levels[i] = level
                value = _explained(levels, gram, product)
                if value > best * (1 + 1e-9):
                    best, kept, changed = value, level, True
            levels[i] = kept
    return levels


def graded_terms(concepts: Sequence[Concept], moments: Moments, mean: float) -> Predicate:
    """The predicate of these concepts (in the order of the moments' columns), strongest first.

    Args:
        mean: what was subtracted from the signal before it came into ``moments``.
    """
    if not concepts:
        return Predicate(rest=_round(mean))
    grades = grade(moments)
    terms = [
        Term(concept, WORD_OF_LEVEL[abs(int(level))], 1 if level > 0 else -1)
        for concept, level in zip(concepts, grades.levels, strict=True)
    ]
    terms.sort(key=lambda t: -abs(t.weight))
    return Predicate(tuple(terms), step=_round(grades.step), rest=_round(grades.rest + mean))


def _round(value: float) -> float:
    """Four significant digits: what is printed is what is computed."""
    return float(f"{value:.4g}")
