"""Greedy selection of concepts with swaps: the engine of ``search``.

1. Of the concepts that are worth their price (``CandidateMatrix.best``), add the one that lowers the
   cross-validated error most when all weights are fitted again.
2. Stop when no concept is worth its price: a unit that follows one rule gets one concept.
3. A concept that was added early may be narrowed to a conjunction or widened to a window
   (``refine_concept``).
4. Swap: take each concept out in turn; where another does better in its place, exchange them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from .candidates import FOLDS, CandidateMatrix
from .concepts import Concept
from .predicate import MAX_CONCEPTS
from .refine_concept import narrowed_forms, rewindowed_forms, widened_forms
from .ridge import RidgeMoments
from .statement import MAX_WORDS, word_count

if TYPE_CHECKING:
    from jaxtyping import Float

FRAME_WORDS = 12  # words of a sentence beyond its concepts: two verbs, prepositions, amounts
ROUNDING_ERROR = 1e-9  # share of the signal's squares below which only rounding is left
SAME_SHARE = 0.9  # two concepts count as one if their overlap is this share of their union
REFINED = 4  # concepts to refine: later ones of real units gained nothing, planted units have few
WIDER_GAIN, NARROWER_GAIN = 1.1, 1.4  # a refined form must lower the error this many times as much
SWAP_GAIN = 1e-4  # share of the error that a swap must save


@dataclass(frozen=True)
class FormulaLimits:
    """How large the meaning of a formula may get; the defaults are the contract's."""

    concepts: int = MAX_CONCEPTS
    literals: int = 6
    """Words that concepts of context may list (``after "of"``); the residue has the others."""
    words: int = MAX_WORDS
    cycles: int = 1
    """Passes of swapping; each costs about as much as the greedy pass."""
    tries: int = 5
    """Concepts, best gain first, for which the error is computed with all weights fitted again."""


def is_concept(concept: Concept) -> bool:
    """Any concept: a search without a restriction."""
    return isinstance(concept, Concept)


class GreedyState:
    """Chosen concepts, their moments, and the cross-validated error."""

    def __init__(self, moments: RidgeMoments, chosen: tuple[Concept, ...]) -> None:
        self.moments = moments
        self.chosen = chosen

    @cached_property
    def error(self) -> float:
        return self.moments.error()

    def repeats(self) -> bool:
        """Whether the last concept holds nearly where another one does."""
        gram = self.moments.grams.sum(axis=0)[1:, 1:]
        sizes = gram.diagonal()
        overlap = gram[-1, :-1]
        union = sizes[-1] + sizes[:-1] - overlap
        return bool((overlap > SAME_SHARE * union).any())

    def with_column(self, concept: Concept, column: Float[np.ndarray, "positions"]) -> GreedyState:
        return GreedyState(self.moments.added(column), (*self.chosen, concept))

    def without(self, index: int) -> GreedyState:
        chosen = self.chosen[:index] + self.chosen[index + 1 :]
        return GreedyState(self.moments.removed(index), chosen)


class GreedySearch:
    """One search over the candidates; ``allowed`` restricts them."""

    def __init__(
        self,
        candidates: CandidateMatrix,
        values: Float[np.ndarray, "positions"],
        limits: FormulaLimits,
        allowed: Callable[[Concept], bool] = is_concept,
    ) -> None:
        self.candidates = candidates
        self.limits = limits
        self.allowed = allowed
        self._is_allowed = candidates.allowed(allowed)
        moments = RidgeMoments.start(values - values.mean(), candidates.fold, FOLDS)
        self.start = GreedyState(moments, ())

    def path(self) -> list[GreedyState]:
        """States of the greedy pass, beginning with the empty one."""
        states = [self.start]
        while (state := self._extended(states[-1])) is not None:
            refine = len(states) <= REFINED and self.limits.tries > 1  # not for cheap rivals
            states.append(self._refined(states[-1], state) if refine else state)
        return states

    def swapped(self, state: GreedyState) -> GreedyState:  # 4.
        """Replace each concept, oldest first, if another does better; the kept ones move to the end."""
        for _ in state.chosen:
            oldest, column = state.chosen[0], state.moments.columns[1]
            without = state.without(0)
            trial = self._extended(without)
            if trial is not None and trial.error < state.error * (1 - SWAP_GAIN):
                state = trial
            else:
                state = without.with_column(oldest, column)
        return state

    def _with(self, state: GreedyState, concept: Concept) -> GreedyState:
        return state.with_column(concept, self.candidates.column(concept))

    def _extended(self, state: GreedyState) -> GreedyState | None:
        """With the concept, of the most promising ones, that lowers the cross-validated error most."""
        perfect = state.error <= ROUNDING_ERROR * self.start.moments.squares.sum()
        if perfect or len(state.chosen) >= self.limits.concepts:
            return None
        # 1. The concepts with the largest gains, each tried with all weights fitted again.
        scored = self.candidates.best(state.moments.residual(), self._is_allowed)
        fitting = (s for s in scored if self._fits(s.concept, state.chosen))
        trials = [self._with(state, s.concept) for s in islice(fitting, self.limits.tries)]
        distinct = [trial for trial in trials if not trial.repeats()]
        best = min(distinct, key=lambda trial: trial.error, default=None)
        return best if best is not None and best.error < state.error else None

    def _refined(self, before: GreedyState, after: GreedyState) -> GreedyState:  # 3.
        """The new concept as a window, as a conjunction, and with another window in that."""
        after = self._best_form(before, after, WIDER_GAIN, widened_forms(after.chosen[-1]))
        residual, column = before.moments.residual(), after.moments.columns[-1]
        narrowed = narrowed_forms(self.candidates, residual, column, after.chosen[-1])
        after = self._best_form(before, after, NARROWER_GAIN, narrowed)
        return self._best_form(before, after, WIDER_GAIN, rewindowed_forms(after.chosen[-1]))

    def _best_form(
        self, before: GreedyState, after: GreedyState, min_ratio: float, forms: Iterable[Concept]
    ) -> GreedyState:
        """The form that lowers the error most, if by at least ``min_ratio`` times as much."""
        fitting = (form for form in forms if self.allowed(form) and self._fits(form, before.chosen))
        trials = [self._with(before, form) for form in fitting]
        best = min(trials, key=lambda trial: trial.error, default=after)
        gain, present_gain = before.error - best.error, before.error - after.error
        return best if gain > min_ratio * present_gain else after

    def _fits(self, concept: Concept, chosen: Sequence[Concept]) -> bool:
        """Whether a concept may join the chosen ones within the limits."""
        # A class of WordNet and a listed one may have the same name, which a sentence says once.
        if concept.phrase() in {c.phrase() for c in chosen}:
            return False
        concepts = [*chosen, concept]
        atoms = sum(c.atoms() for c in concepts)
        literals = sum(len(c.literals()) for c in concepts)
        words = FRAME_WORDS + sum(word_count(c.phrase()) for c in concepts)
        limits = self.limits
        return atoms <= limits.concepts and literals <= limits.literals and words <= limits.words
