"""The cost model: seconds of a core as sums of a few terms, fitted to measurements.

1. An index costs, for each token, two floating-point operations for each weight at some speed, and
   some time for each unit whose statistics it takes; and once, some time to write each unit.
2. A target costs some time of its own, some for each distinct token of the text on which its
   formulas are searched, and its experiments' forward passes, in proportion to the weights. A search
   compares concepts, and a text has more of them as it has more words: with all of its tokens
   instead of the distinct ones, the longest text came out 28 % too expensive.
3. The coefficients are not negative, and minimise the sum of squared relative errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls


class MeasuredCost(NamedTuple):
    """What one thing cost: the terms of the model, and seconds of a core."""

    name: str
    terms: tuple[float, ...]
    seconds: float


class CostModel(NamedTuple):
    """Seconds for each unit of each term."""

    coefficients: Float[np.ndarray, " term"]

    def seconds(self, terms: Sequence[float]) -> float:
        """What the model predicts."""
        return float(np.dot(self.coefficients, terms))


class LeftOut(NamedTuple):
    """A measurement, and what the model says that was fitted to all others."""

    name: str
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        """Relative error of the prediction."""
        return self.predicted / self.measured - 1


def fit(points: Sequence[MeasuredCost]) -> CostModel:
    """The model with the least squared relative errors (3)."""
    terms = np.array([point.terms for point in points]) / np.array([[p.seconds] for p in points])
    scale = np.maximum(np.abs(terms).max(axis=0), 1e-300)  # nnls wants columns of like size
    coefficients, _ = nnls(terms / scale, np.ones(len(points)))
    return CostModel(coefficients / scale)


def leave_one_out(points: Sequence[MeasuredCost]) -> list[LeftOut]:
    """Each measurement predicted from all others."""
    predicted = [fit([*points[:i], *points[i + 1 :]]) for i in range(len(points))]
    return [
        LeftOut(point.name, point.seconds, model.seconds(point.terms))
        for point, model in zip(points, predicted, strict=True)
    ]


def index_terms(weights: int, units: int, tokens: int) -> tuple[float, float, float]:
    """Of one token in an index of so many (1): operations, units, and its share of the writing."""
    return 2.0 * weights, float(units), units / tokens


def target_terms(distinct_tokens: int, weights: int) -> tuple[float, float, float]:
    """Of one target (2): itself, distinct tokens of its text, and weights."""
    return 1.0, float(distinct_tokens), float(weights)
