"""The parts of a formula on a text: what its named concepts predict without its listed tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from jaxtyping import Bool, Int

from .floors import Prediction

if TYPE_CHECKING:
    from ..tools.dissection import Predicate, TextView


class NamedTerm(NamedTuple):
    """A named concept of a formula: the sign of its weight, where it holds, and its place."""

    sign: int
    holds: Bool[np.ndarray, "contexts seq"]
    in_headline: bool = True


@dataclass(frozen=True, eq=False)
class PartPredictions:
    """The named concepts of a formula alone, and its headline: the first three of them."""

    meaning: Prediction
    headline: Prediction
    terms: tuple[NamedTerm, ...] = ()

    @cached_property
    def rises(self) -> Bool[np.ndarray, "contexts seq"]:
        """Where a term of the headline with a weight above 0 holds."""
        return self._holding(1)

    @cached_property
    def falls(self) -> Bool[np.ndarray, "contexts seq"]:
        """The same below 0."""
        return self._holding(-1)

    def take(self, contexts: Int[np.ndarray, " chosen"]) -> Self:
        """The same on only these contexts."""
        terms = tuple(term._replace(holds=term.holds[contexts]) for term in self.terms)
        return replace(
            self, meaning=self.meaning[contexts], headline=self.headline[contexts], terms=terms
        )

    def _holding(self, sign: int) -> Bool[np.ndarray, "contexts seq"]:
        held = [term.holds for term in self.terms if term.in_headline and term.sign == sign]
        return np.any([np.zeros(self.headline.shape, dtype=bool), *held], axis=0)


def formula_parts(predicate: Predicate, text: TextView) -> PartPredictions:
    """The parts of a formula on a text."""
    meaning, headline = predicate.meaning(), predicate.headline()
    shown = {term.concept for term in headline.terms}
    terms = (
        NamedTerm(term.sign, term.concept.mask(text), term.concept in shown)
        for term in meaning.terms
    )
    return PartPredictions(meaning.predict_text(text), headline.predict_text(text), tuple(terms))
