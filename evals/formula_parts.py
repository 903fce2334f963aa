"""The parts of a formula on a text: what its named concepts predict without its listed tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool

from .floors import Prediction

if TYPE_CHECKING:
    from ..tools.dissection import Predicate, TextView


class HeadlineTerm(NamedTuple):
    """A term of a formula's headline: the sign of its weight, and where it holds."""

    sign: int
    holds: Bool[np.ndarray, "contexts seq"]


@dataclass(frozen=True, eq=False)
class PartPredictions:
    """The named concepts of a formula alone, and its headline: the first three of them."""

    meaning: Prediction
    headline: Prediction
    headline_terms: tuple[HeadlineTerm, ...] = ()

    @cached_property
    def rises(self) -> Bool[np.ndarray, "contexts seq"]:
        """Where a term of the headline with a weight above 0 holds."""
        return self._holding(1)

    @cached_property
    def falls(self) -> Bool[np.ndarray, "contexts seq"]:
        """The same below 0."""
        return self._holding(-1)

    def _holding(self, sign: int) -> Bool[np.ndarray, "contexts seq"]:
        held = [term.holds for term in self.headline_terms if term.sign == sign]
        return np.any([np.zeros(self.headline.shape, dtype=bool), *held], axis=0)


def formula_parts(predicate: Predicate, text: TextView) -> PartPredictions:
    """The parts of a formula on a text."""
    headline = predicate.headline()
    terms = (HeadlineTerm(term.sign, term.concept.mask(text)) for term in headline.terms)
    return PartPredictions(
        predicate.meaning().predict_text(text), headline.predict_text(text), tuple(terms)
    )
