"""Grades for concepts that somebody named: who names them need not guess how much each counts.

1. Each concept is a column of 0 and 1 over the tokens that count, as in the search.
2. One ridge regression gives weights and signs; they are rounded to grades with one step
   (`fit.graded_terms`).
3. While the formula is longer than the contract allows, the concept whose weight moves the
   prediction least goes.

A concept that holds nowhere in the text has no weight that could be found, and is named in the
error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import UsageError
from .concepts import Concept
from .predicate import Predicate
from .ridge import RidgeMoments, graded_predicate
from .text_view import TextView

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


class FittedGrades(NamedTuple):
    """A predicate, the concepts that were left out of it, least worth first, and the limit that asked for it."""

    predicate: Predicate
    left_out: tuple[Concept, ...] = ()
    why: str = ""


def fit_grades(
    concepts: Sequence[Concept],
    text: TextView,
    signal: Float[np.ndarray, "contexts seq"],
    mask: Bool[np.ndarray, "contexts seq"],
) -> FittedGrades:
    """The predicate of these concepts that is nearest to a signal, strongest term first.

    Args:
        mask: tokens that count.

    Raises:
        UsageError: a concept stands there twice or holds nowhere, one alone is longer than the contract allows, or the
            signal does not vary.
    """
    if len(set(concepts)) < len(concepts):
        raise UsageError("a concept stands in it twice")
    values = np.asarray(signal, dtype=np.float64)[mask]
    if not np.ptp(values):
        raise UsageError(
            "the unit has one and the same activation at every token that you were shown"
        )
    mean = float(values.mean())
    moments = RidgeMoments(values - mean, np.zeros(len(values), dtype=np.int64), 1)
    for concept in concepts:
        column = concept.mask(text)[mask]
        if not column.any():
            raise UsageError(
                f"{concept.to_text()} holds nowhere in the text that you were shown; leave it out"
            )
        moments = moments.added(column.astype(np.float64))
    kept, left_out, why = list(concepts), list[Concept](), ""
    while True:
        try:
            return FittedGrades(graded_predicate(tuple(kept), moments, mean), tuple(left_out), why)
        except UsageError as error:
            if len(kept) == 1:
                raise
            why = why or str(error)
        least = int(np.argmin(np.abs(moments.weights()[1:]) * _spread(moments)))
        left_out.append(kept.pop(least))
        moments = moments.removed(least)


def _spread(moments: RidgeMoments) -> Float[np.ndarray, " concepts"]:
    """Standard deviation of each column."""
    return np.array([column.std() for column in moments.columns[1:]])


def term_contributions(
    predicate: Predicate,
    text: TextView,
    signal: Float[np.ndarray, "contexts seq"],
    mask: Bool[np.ndarray, "contexts seq"],
) -> list[float]:
    """What the correlation loses without each term, the others as they are; negative: it is better without."""
    values = np.asarray(signal, dtype=np.float64)[mask]
    steps = [
        term.weight * term.concept.mask(text)[mask].astype(np.float64) for term in predicate.terms
    ]
    together = np.sum(steps, axis=0) if steps else np.zeros(len(values))
    whole = _correlation(together, values)
    return [whole - _correlation(together - step, values) for step in steps]


def _correlation(one: Float[np.ndarray, " n"], two: Float[np.ndarray, " n"]) -> float:
    """Pearson r; 0 where one side does not vary."""
    one, two = one - one.mean(), two - two.mean()
    size = float(np.sqrt((one @ one) * (two @ two)))
    return float(one @ two) / size if size else 0.0
