"""The parts of a formula on a text: what its named concepts predict without its listed tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from .floors import Prediction

if TYPE_CHECKING:
    from ..tools.dissection import Predicate, TextView


@dataclass(frozen=True, eq=False)
class PartPredictions:
    """The named concepts of a formula alone, and its headline: the first three of them."""

    meaning: Prediction
    headline: Prediction
    rises: Bool[np.ndarray, "contexts seq"]
    """Where a term of the headline with a weight above 0 holds."""
    falls: Bool[np.ndarray, "contexts seq"]
    """The same below 0."""


def formula_parts(predicate: Predicate, text: TextView) -> PartPredictions:
    """The parts of a formula on a text."""
    headline = predicate.headline()
    rises, falls = np.zeros((2, *text.tokens.shape), dtype=bool)
    for term in headline.terms:
        (rises if term.weight > 0 else falls)[:] |= term.concept.mask(text)
    return PartPredictions(
        predicate.meaning().predict_text(text), headline.predict_text(text), rises, falls
    )
