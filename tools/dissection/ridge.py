"""Weights of chosen concepts: ridge regression on fold-wise moments, cross-validated error, and
grades.

1. Columns are 0/1; moments (Gram matrix, products with the signal) are kept by fold, so that adding
   or removing a concept and cross-validating a formula cost next to nothing.
2. Grades: the step is searched on a grid, every weight goes to its nearest grade, then single
   grades are changed as long as the squared error falls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import UsageError
from .concepts import Concept
from .predicate import GRADES, Predicate, WeightedConcept, limit_problem

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SHRINK = 15.0  # pseudo-positions; 5 and 40 were no better on four layers of SmolLM2
RIDGE = 5.0  # pseudo-positions against a weight
SCALES = ((1, 2, 4, 8, 16), (1, 2, 4, 16), (1, 4, 16), (2, 8), (4,))
WORD_OF_LEVEL = {level: word for word, level in GRADES.items()}


def cv_gain(
    sums: Float[np.ndarray, "concepts folds"],
    counts: Float[np.ndarray, "concepts folds"],
    shrink: float = SHRINK,
) -> Float[np.ndarray, "concepts"]:
    """Cross-validated drop in squared error of adding each concept alone."""
    rest_sum = sums.sum(axis=1, keepdims=True) - sums
    rest_count = counts.sum(axis=1, keepdims=True) - counts
    weight = rest_sum / (rest_count + shrink)
    return (2 * weight * sums - weight**2 * counts).sum(axis=1)


def in_sample_gain(
    sums: Float[np.ndarray, "concepts folds"], counts: Float[np.ndarray, "concepts folds"]
) -> np.ndarray:
    """In-sample drop in squared error, S^2 / (N + shrink)."""
    return sums.sum(axis=1) ** 2 / (counts.sum(axis=1) + SHRINK)


class GradeFit(NamedTuple):
    """Signed levels (0: not worth a grade), the activation of one step, and the rest level."""

    levels: Int[np.ndarray, "k"]
    step: float
    rest: float


class RidgeMoments:
    """Chosen concepts as 0/1 columns (the first is all ones), with the sums that least squares
    needs, by fold.

    Args:
        signal: what is to be predicted, one value a position.
        fold: fold of each position, 0 to ``folds`` - 1.
    """

    def __init__(
        self, signal: Float[np.ndarray, "positions"], fold: Int[np.ndarray, "positions"], folds: int
    ) -> None:
        self.signal = signal
        self.fold = fold
        self.folds = folds
        self.columns: list[np.ndarray] = []
        self.grams = np.zeros((folds, 0, 0))
        self.products = np.zeros((folds, 0))
        self.squares = np.bincount(fold, signal**2, minlength=folds)
        self._append(np.ones(len(signal)))

    def __len__(self) -> int:
        return len(self.columns) - 1

    def _copy(self, keep: np.ndarray) -> RidgeMoments:
        other = RidgeMoments.__new__(RidgeMoments)
        other.signal, other.fold, other.folds, other.squares = (
            self.signal,
            self.fold,
            self.folds,
            self.squares,
        )
        other.columns = [self.columns[i] for i in keep]
        other.grams = self.grams[:, keep][:, :, keep]
        other.products = self.products[:, keep]
        return other

    def _append(self, column: np.ndarray) -> None:
        rows = np.flatnonzero(column)
        fold, size = self.fold[rows], len(self.columns)
        grams = np.zeros((self.folds, size + 1, size + 1))
        grams[:, :size, :size] = self.grams
        for i, other in enumerate([*self.columns, column]):
            grams[:, i, size] = grams[:, size, i] = np.bincount(
                fold, other[rows], minlength=self.folds
            )
        product = np.bincount(fold, self.signal[rows], minlength=self.folds)
        self.grams, self.products = grams, np.concatenate([self.products, product[:, None]], axis=1)
        self.columns = [*self.columns, column]

    def added(self, column: np.ndarray) -> RidgeMoments:
        """A copy with one more concept."""
        other = self._copy(np.arange(len(self.columns)))
        other._append(column)
        return other

    def removed(self, index: int) -> RidgeMoments:
        """A copy without concept ``index`` (from 0)."""
        return self._copy(np.delete(np.arange(len(self.columns)), index + 1))

    def weights(self) -> np.ndarray:
        """Intercept and ridge weights on all folds."""
        return solve_ridge(self.grams.sum(axis=0), self.products.sum(axis=0))

    def residual(self) -> np.ndarray:
        """Signal minus its prediction."""
        residual = self.signal.copy()
        for weight, column in zip(self.weights(), self.columns, strict=True):
            residual -= weight * column
        return residual

    def error(self) -> float:
        """Squared error on folds that did not set the weights."""
        gram, product, total = self.grams.sum(axis=0), self.products.sum(axis=0), 0.0
        for f in range(self.folds):
            weights = solve_ridge(gram - self.grams[f], product - self.products[f])
            total += float(
                self.squares[f] - 2 * weights @ self.products[f] + weights @ self.grams[f] @ weights
            )
        return total


def solve_ridge(gram: np.ndarray, product: np.ndarray) -> np.ndarray:
    """Ridge weights; the intercept (first) is not shrunk."""
    penalty = np.full(len(gram), RIDGE)
    penalty[0] = 1e-9
    return np.linalg.solve(gram + np.diag(penalty), product)


def fit_levels(moments: RidgeMoments, allowed: Sequence[int] = tuple(GRADES.values())) -> GradeFit:
    """The levels, of those allowed, that explain most with one step for all concepts."""
    gram, product, means = _centred(moments)
    weights = moments.weights()[1:]
    largest = np.abs(weights).max()
    starts = [
        _nearest(weights / step, allowed)
        for step in largest / max(allowed) * 2.0 ** np.linspace(-0.75, 3.5, 35)
    ]
    levels = max(
        (_improve(start, gram, product, allowed) for start in starts),
        key=lambda v: _gain(v, gram, product),
    )
    step = float(levels @ product / (levels @ gram @ levels))
    return GradeFit(levels, step, float(moments.signal.mean() - step * levels @ means))


def _centred(moments: RidgeMoments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gram matrix and products of the columns less their means, and these means."""
    gram, product = moments.grams.sum(axis=0), moments.products.sum(axis=0)
    means = gram[0, 1:] / gram[0, 0]
    return (
        gram[1:, 1:] - gram[0, 0] * np.outer(means, means),
        product[1:] - product[0] * means,
        means,
    )


def _nearest(ratios: np.ndarray, allowed: Sequence[int]) -> np.ndarray:
    """Signed level nearest on a log scale."""
    distance = np.abs(np.log(np.maximum(np.abs(ratios), 1e-9))[:, None] - np.log(allowed))
    return np.where(ratios < 0, -1, 1) * np.asarray(allowed)[distance.argmin(axis=1)]


def _gain(levels: np.ndarray, gram: np.ndarray, product: np.ndarray) -> float:
    """Squared signal that these levels explain at their best step; a negative step explains nothing."""
    along = float(levels @ product)
    return along * abs(along) / float(levels @ gram @ levels + 1e-9)


def _improve(
    levels: np.ndarray, gram: np.ndarray, product: np.ndarray, allowed: Sequence[int]
) -> np.ndarray:
    """Change single levels, signs kept, as long as that explains more."""
    best, levels, changed = _gain(levels, gram, product), levels.copy(), True
    while changed:
        changed = False
        for i in range(len(levels)):
            kept = levels[i]
            for level in np.asarray(allowed) * np.sign(kept):
                levels[i] = level
                value = _gain(levels, gram, product)
                if value > best * (1 + 1e-9):
                    best, kept, changed = value, level, True
            levels[i] = kept
    return levels


def graded_predicate(concepts: Sequence[Concept], moments: RidgeMoments, mean: float) -> Predicate:
    """The predicate of these concepts (in the order of the moments' columns), strongest first.

    Args:
        mean: what was subtracted from the signal before it came into ``moments``.
    """
    if not concepts:
        return Predicate(rest=_round(mean))
    problem = ""
    for allowed in SCALES:  # fewer grades make a shorter sentence
        grades = fit_levels(moments, allowed)
        problem = limit_problem(terms := _terms(concepts, grades.levels))
        if not problem:
            return Predicate(terms, step=_round(grades.step), rest=_round(grades.rest + mean))
    raise UsageError(f"these concepts are too many for one formula: {problem}")


def _terms(concepts: Sequence[Concept], levels: np.ndarray) -> tuple[WeightedConcept, ...]:
    found = zip(concepts, levels, strict=True)
    terms = [
        WeightedConcept(concept, WORD_OF_LEVEL[abs(int(level))], 1 if level > 0 else -1)
        for concept, level in found
    ]
    return tuple(sorted(terms, key=lambda t: -abs(t.weight)))


def _round(value: float) -> float:
    """Four significant digits: what is printed is what is computed."""
    return float(f"{value:.4g}")
