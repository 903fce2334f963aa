"""Grades for concepts that a user or model named, so that they need not be guessed.

1. Each concept is a column of 0 and 1 over the tokens that count, as in the search.
2. One ridge regression gives weights and signs; they are rounded to grades with one step
   (`ridge.graded_predicate`).
3. While the formula is longer than the contract allows, the concept whose weight moves the
   prediction least is dropped.

A concept that holds nowhere in the text has no weight to estimate; the error names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..correlation import pearson
from ..errors import UsageError
from .concepts import Concept
from .predicate import Predicate
from .ridge import FINE_SCALES, RidgeMoments, graded_predicate
from .text_view import TextView

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


class FittedGrades(NamedTuple):
    """A predicate, the concepts dropped from it, weakest first, and the limit it exceeded."""

    predicate: Predicate
    left_out: tuple[Concept, ...] = ()
    why: str = ""


def fit_grades(
    concepts: Sequence[Concept],
    text: TextView,
    signal: Float[np.ndarray, "contexts seq"],
    mask: Bool[np.ndarray, "contexts seq"],
) -> FittedGrades:
    """The predicate of these concepts that is nearest to a signal, in the order of `ridge.graded_predicate`.

    Args:
        mask: tokens that count.

    Raises:
        UsageError: a concept is given twice or holds nowhere, one alone is longer than the contract
            allows, or the signal does not vary.
    """
    if len(set(concepts)) < len(concepts):
        raise UsageError("it has a concept twice")
    values = np.asarray(signal, dtype=np.float64)[mask]
    if not np.ptp(values):
        raise UsageError("the unit has the same activation at every token that you were shown")
    mean = float(values.mean())
    moments = RidgeMoments.start(values - mean, np.zeros(len(values), dtype=np.int64), 1)
    for concept in concepts:
        column = concept.mask(text)[mask]
        if not column.any():
            raise UsageError(
                f"{concept.to_text()} holds nowhere in the text that you were shown; leave it out"
            )
        moments = moments.added(column.astype(np.float64))
    kept, dropped, why = list(concepts), list[Concept](), ""
    while True:
        try:
            predicate = graded_predicate(kept, moments, mean, FINE_SCALES)
            return FittedGrades(predicate, tuple(dropped), why)
        except UsageError as error:
            if len(kept) == 1:
                raise
            why = why or str(error)
        spread = np.array([column.std() for column in moments.columns[1:]])
        weakest = int(np.argmin(np.abs(moments.weights()[1:]) * spread))
        dropped.append(kept.pop(weakest))
        moments = moments.removed(weakest)


def term_contributions(
    predicate: Predicate,
    text: TextView,
    signal: Float[np.ndarray, "contexts seq"],
    mask: Bool[np.ndarray, "contexts seq"],
) -> list[float]:
    """Pearson r that the predicate loses without each term; negative if it is better without."""
    values = np.asarray(signal, dtype=np.float64)[mask]
    steps = [
        term.weight * term.concept.mask(text)[mask].astype(np.float64) for term in predicate.terms
    ]
    prediction = np.sum(steps, axis=0) if steps else np.zeros(len(values))
    whole = pearson(prediction, values)
    return [whole - pearson(prediction - step, values) for step in steps]
