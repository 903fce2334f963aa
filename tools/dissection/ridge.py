"""Weights of concepts: gains of single concepts, ridge regression of several, and grades.

1. Gain of one concept. For each fold, the weight comes from the other folds: w = S / (N + shrink),
   with S the sum and N the number of residuals where the concept holds. Its gain on the fold left
   out is 2 w S_f - w^2 N_f; the gain of the concept is the sum over folds.
2. Regression. Columns are 0/1; moments (Gram matrix, products with the signal) are kept by fold, so
   that adding or removing a concept and cross-validating a formula cost next to nothing.
3. Grades. The step is searched on a grid, every weight goes to its nearest degree, then single
   degrees are changed as long as the squared error falls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import UsageError
from .concepts import Concept
from .predicate import GRADES, Predicate, WeightedConcept, limit_problem
from .statement import HEADLINE_CLAIMS, fits_headline

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SHRINK = 15.0  # pseudo-positions; 5 and 40 were no better on four layers of SmolLM2
RIDGE = 5.0  # pseudo-positions per weight
SCALES = ((1, 4, 16),)
"""Few degrees. Real units' weights differ by more than ten times, and with steps of two the headline
predicts less (r@3 .235, with these .268); five degrees are no better."""
FINE_SCALES = ((1, 2, 4, 8, 16), *SCALES, (4,))
"""For concepts that a person or a language model named, which may differ more."""
WORD_OF_LEVEL = {level: word for word, level in GRADES.items()}
STEP_FACTORS = 2.0 ** np.linspace(-0.75, 3.5, 35)
"""Steps to try, times the step that gives the largest weight the largest level."""


# ------------------------------------------------------------------ 1. gains


def cv_gain(
    sums: Float[np.ndarray, "concepts folds"], counts: Float[np.ndarray, "concepts folds"]
) -> Float[np.ndarray, "concepts"]:
    """Cross-validated drop in squared error of adding each concept alone."""
    other_sums = sums.sum(axis=1, keepdims=True) - sums
    other_counts = counts.sum(axis=1, keepdims=True) - counts
    weight = other_sums / (other_counts + SHRINK)
    return (2 * weight * sums - weight**2 * counts).sum(axis=1)


def in_sample_gain(
    sums: Float[np.ndarray, "concepts folds"], counts: Float[np.ndarray, "concepts folds"]
) -> Float[np.ndarray, "concepts"]:
    """In-sample drop in squared error, S^2 / (N + shrink)."""
    return sums.sum(axis=1) ** 2 / (counts.sum(axis=1) + SHRINK)


# ------------------------------------------------------------- 2. regression


class CentredMoments(NamedTuple):
    """Sums of least squares without the constant."""

    gram: Float[np.ndarray, "concepts concepts"]
    product: Float[np.ndarray, "concepts"]
    means: Float[np.ndarray, "concepts"]


@dataclass(frozen=True)
class RidgeMoments:
    """Concepts as 0/1 columns (the first is all ones), with the sums of least squares by fold.

    Attributes:
        signal: what is to be predicted, one value per position.
        fold: fold of each position; squares: the signal's squares by fold.
    """

    signal: Float[np.ndarray, "positions"]
    fold: Int[np.ndarray, "positions"]
    squares: Float[np.ndarray, "folds"]
    columns: tuple[Float[np.ndarray, "positions"], ...]
    grams: Float[np.ndarray, "folds columns columns"]
    products: Float[np.ndarray, "folds columns"]

    @classmethod
    def start(
        cls, signal: Float[np.ndarray, "positions"], fold: Int[np.ndarray, "positions"], folds: int
    ) -> RidgeMoments:
        """Moments of the constant alone."""
        squares = np.bincount(fold, signal**2, minlength=folds)
        empty = cls(signal, fold, squares, (), np.zeros((folds, 0, 0)), np.zeros((folds, 0)))
        return empty.added(np.ones(len(signal)))

    def added(self, column: Float[np.ndarray, "positions"]) -> RidgeMoments:
        """A copy with one more concept."""
        folds, size = self.products.shape
        rows = np.flatnonzero(column)
        fold = self.fold[rows]
        columns = (*self.columns, column)
        grams = np.zeros((folds, size + 1, size + 1))
        grams[:, :size, :size] = self.grams
        for i, other in enumerate(columns):
            joint = np.bincount(fold, other[rows], minlength=folds)
            grams[:, i, size] = grams[:, size, i] = joint
        product = np.bincount(fold, self.signal[rows], minlength=folds)
        # Indexing (a copy) makes each concept's products contiguous in memory. BLAS adds strided
        # vectors in another order, and published correlations are reproduced to the last bit.
        present = self.products[:, np.arange(size)]
        products = np.concatenate([present, product[:, None]], axis=1)
        return replace(self, columns=columns, grams=grams, products=products)

    def removed(self, index: int) -> RidgeMoments:
        """A copy without concept ``index`` (from 0)."""
        keep = np.delete(np.arange(len(self.columns)), index + 1)
        columns = tuple(self.columns[i] for i in keep)
        grams = self.grams[:, keep][:, :, keep]
        return replace(self, columns=columns, grams=grams, products=self.products[:, keep])

    def centred(self) -> CentredMoments:
        """Gram matrix and products of the concepts' columns less their means, and these means."""
        gram, product = self.grams.sum(axis=0), self.products.sum(axis=0)
        n, means = gram[0, 0], gram[0, 1:] / gram[0, 0]
        centred_gram = gram[1:, 1:] - n * np.outer(means, means)
        return CentredMoments(centred_gram, product[1:] - product[0] * means, means)

    def weights(self) -> Float[np.ndarray, "columns"]:
        """Intercept and ridge weights on all folds."""
        return solve_ridge(self.grams.sum(axis=0), self.products.sum(axis=0))

    def weakest(self) -> int:
        """The concept (from 0) that moves the prediction least: by weight and standard deviation."""
        gram = self.grams.sum(axis=0)
        share = gram.diagonal()[1:] / gram[0, 0]
        return int(np.argmin(np.abs(self.weights()[1:]) * np.sqrt(share * (1 - share))))

    def residual(self) -> Float[np.ndarray, "positions"]:
        """Signal minus its prediction."""
        residual = self.signal.copy()
        for weight, column in zip(self.weights(), self.columns, strict=True):
            residual -= weight * column
        return residual

    def error(self) -> float:
        """Squared error on folds that did not set the weights."""
        gram, product, total = self.grams.sum(axis=0), self.products.sum(axis=0), 0.0
        by_fold = zip(self.grams, self.products, self.squares, strict=True)
        for fold_gram, fold_product, squares in by_fold:
            weights = solve_ridge(gram - fold_gram, product - fold_product)
            total += float(squares - 2 * weights @ fold_product + weights @ fold_gram @ weights)
        return total


def solve_ridge(
    gram: Float[np.ndarray, "columns columns"], product: Float[np.ndarray, "columns"]
) -> Float[np.ndarray, "columns"]:
    """Ridge weights; the intercept (first) is not shrunk."""
    penalty = np.full(len(gram), RIDGE)
    penalty[0] = 1e-9
    return np.linalg.solve(gram + np.diag(penalty), product)


# ----------------------------------------------------------------- 3. grades


class GradeFit(NamedTuple):
    """Signed levels (0: no grade), the activation of one step, and the rest level."""

    levels: Int[np.ndarray, "concepts"]
    step: float
    rest: float


def fit_levels(moments: RidgeMoments, allowed: Sequence[int] = tuple(GRADES.values())) -> GradeFit:
    """The levels, of those allowed, that explain most with one step for all concepts."""
    gram, product, means = moments.centred()
    weights = moments.weights()[1:]
    steps = np.abs(weights).max() / max(allowed) * STEP_FACTORS
    starts = [_nearest_levels(weights / step, allowed) for step in steps]
    distinct = dict.fromkeys(tuple(start.tolist()) for start in starts)  # of 35 perhaps 12
    improved = [_improve(np.array(start), gram, product, allowed) for start in distinct]
    levels = max(improved, key=lambda v: _explained(v, gram, product))
    step = float(levels @ product / (levels @ gram @ levels))
    return GradeFit(levels, step, float(moments.signal.mean() - step * levels @ means))


def _nearest_levels(
    ratios: Float[np.ndarray, "concepts"], allowed: Sequence[int]
) -> Int[np.ndarray, "concepts"]:
    """The signed level nearest to each ratio on a log scale."""
    magnitude = np.maximum(np.abs(ratios), 1e-9)
    distance = np.abs(np.log(magnitude)[:, None] - np.log(allowed))
    return np.where(ratios < 0, -1, 1) * np.asarray(allowed)[distance.argmin(axis=1)]


def _explained(
    levels: Int[np.ndarray, "concepts"],
    gram: Float[np.ndarray, "concepts concepts"],
    product: Float[np.ndarray, "concepts"],
) -> float:
    """Squared signal that levels explain at their best step; below 0 if that step is."""
    along = float(levels @ product)
    return along * abs(along) / float(levels @ gram @ levels + 1e-9)


def _improve(
    levels: Int[np.ndarray, "concepts"],
    gram: Float[np.ndarray, "concepts concepts"],
    product: Float[np.ndarray, "concepts"],
    allowed: Sequence[int],
) -> Int[np.ndarray, "concepts"]:
    """Change single levels, with their signs, as long as that explains more."""
    best, levels, changed = _explained(levels, gram, product), levels.copy(), True
    while changed:
        changed = False
        for i in range(len(levels)):
            best_level = levels[i]
            for level in np.asarray(allowed) * np.sign(best_level):
                levels[i] = level
                value = _explained(levels, gram, product)
                if value > best * (1 + 1e-9):
                    best, best_level, changed = value, level, True
            levels[i] = best_level
    return levels


def graded_predicate(
    concepts: Sequence[Concept],
    moments: RidgeMoments,
    mean: float,
    scales: Sequence[Sequence[int]] = SCALES,
) -> Predicate:
    """The predicate of these concepts, which are in the order of the moments' columns.

    The claims that predict best as a headline come first, the others by evidence: how far a concept
    moves the prediction, its weight times its standard deviation.

    Args:
        mean: what was subtracted from the signal before it came into ``moments``.
        scales: degrees to choose from; later ones if the sentence is too long with earlier ones.

    Raises:
        UsageError: the formula exceeds the contract's limits.
    """
    if not concepts:
        return Predicate(rest=rounded(mean))
    problem = ""
    for allowed in scales:  # fewer degrees make a shorter sentence
        fit = fit_levels(moments, allowed)
        terms = _ordered_terms(concepts, fit.levels, moments)
        problem = limit_problem(terms)
        if not problem:
            return Predicate(terms, step=rounded(fit.step), rest=rounded(fit.rest + mean))
    raise UsageError(f"these concepts are too many for one formula: {problem}")


def _ordered_terms(
    concepts: Sequence[Concept], levels: Int[np.ndarray, "concepts"], moments: RidgeMoments
) -> tuple[WeightedConcept, ...]:
    """The terms: those of the best headline, then the others; both by evidence."""
    gram, product, means = moments.centred()
    evidence = np.abs(levels) * np.sqrt(means * (1 - means))
    terms = [
        WeightedConcept(concept, WORD_OF_LEVEL[abs(level)], int(np.sign(level)))
        for concept, level in zip(concepts, levels.tolist(), strict=True)
    ]
    order = np.argsort(-evidence, kind="stable").tolist()
    first = _best_headline(
        [i for i in order if not concepts[i].names_tokens()], terms, gram, product
    )
    return tuple(terms[i] for i in [*first, *(i for i in order if i not in first)])


def _best_headline(
    order: Sequence[int],
    terms: Sequence[WeightedConcept],
    gram: Float[np.ndarray, "concepts concepts"],
    product: Float[np.ndarray, "concepts"],
) -> tuple[int, ...]:
    """Of up to three terms that fit a headline, those that explain most by themselves."""
    weights = np.array([term.weight for term in terms])
    sizes = range(1, HEADLINE_CLAIMS + 1)
    choices = [list(choice) for size in sizes for choice in combinations(order, size)]
    explained = [_explained(weights[c], gram[np.ix_(c, c)], product[c]) for c in choices]
    for place in np.argsort(-np.array(explained), kind="stable").tolist():
        if fits_headline([terms[i] for i in choices[place]]):
            return tuple(choices[place])
    return ()


def rounded(value: float) -> float:
    """Round to four significant digits, as printed."""
    return float(f"{value:.4g}")
