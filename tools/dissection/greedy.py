"""Greedy selection of concepts with swaps: the engine of ``search``.

1. Add, of the concepts with the largest cross-validated gains, the one that lowers the refitted
   error most.
2. Stop when no concept's gain is significant: a unit that follows one token gets one concept.
3. A concept that was added early may be narrowed to a conjunction or widened to a window
   (``refine``).
4. Swap: take each concept out in turn; where another does better in its place, exchange them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np

from .candidates import FOLDS, CandidateMatrix
from .concepts import Concept
from .concepts.before import After
from .concepts.words import Token, Words
from .formula_english import word_count
from .predicate import MAX_CONCEPTS, MAX_LITERALS, MAX_WORDS
from .refine_concept import narrowed_forms, rewindowed_forms, widened_forms
from .ridge import RidgeMoments, cv_gain, in_sample_gain
from .word_lists import grow_word_lists

C = TypeVar("C", bound=Concept)
PROSE = 10  # words of a sentence around its concepts: two verbs with their joints, and six grades
NOTHING_LEFT = 1e-9  # share of the signal's squares below which rounding is all that is left
SAME = 0.9  # share of their union that two concepts hold together to count as one
REFINED = 4  # concepts that may be refined: later ones of a real unit gained nothing, planted units have few
WIDER, NARROWER = (
    1.1,
    1.4,
)  # how many times a concept's own drop in error its refined form has to bring


@dataclass(frozen=True)
class FormulaLimits:
    """How large a formula may get; the defaults are the contract's."""

    concepts: int = MAX_CONCEPTS
    literals: int = MAX_LITERALS
    words: int = MAX_WORDS
    listed: int = 4  # words in one list
    cycles: int = 1  # passes of swapping; each costs about as much as the greedy pass
    tries: int = 5  # offers whose error is computed with all weights refitted, best gain first
    significance: float = (
        25.0  # squared z below which a gain is taken for noise (20,000 candidates are tried)
    )


class ScoredConcept(NamedTuple):
    """A concept with its cross-validated gain."""

    gain: float
    concept: Concept


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
        joint, union = gram[-1, :-1], sizes[-1] + sizes[:-1] - gram[-1, :-1]
        return bool((joint > SAME * union).any())

    def with_concept(self, concept: Concept, library: CandidateMatrix) -> GreedyState:
        return self.with_column(concept, library.column(concept))

    def with_column(self, concept: Concept, column: np.ndarray) -> GreedyState:
        return GreedyState(self.moments.added(column), (*self.chosen, concept))

    def without(self, index: int) -> GreedyState:
        return GreedyState(
            self.moments.removed(index), self.chosen[:index] + self.chosen[index + 1 :]
        )


class GreedySearch:
    """One search over a library; ``allowed`` leaves concepts out (all are allowed by default)."""

    def __init__(
        self,
        library: CandidateMatrix,
        values: np.ndarray,
        limits: FormulaLimits,
        allowed: Callable[[Concept], bool] = lambda concept: True,
    ) -> None:
        self.library = library
        self.limits = limits
        self.allowed = allowed
        self.classes = np.array([allowed(c) for c in library.classes], dtype=bool)
        self.others = np.array([allowed(c) for c in library.position_concepts], dtype=bool)
        self.lists = allowed(Words("a", "b"))
        self.channels = [
            c for c in library.channels if any(allowed(c.concept(k)) for k in library.classes)
        ]
        self.start = GreedyState(RidgeMoments(values - values.mean(), library.fold, FOLDS), ())

    def path(self) -> list[GreedyState]:
        """States of the greedy pass, the empty one first."""
        states = [self.start]
        while (state := self._extended(states[-1])) is not None:
            refine = len(states) <= REFINED and self.limits.tries > 1  # not for cheap rivals
            states.append(self._refined(states[-1], state) if refine else state)
        return states

    def swapped(self, state: GreedyState) -> GreedyState:
        """Each concept in turn, the oldest first, makes way for a better one; what stays goes to the end."""
        for _ in state.chosen:
            without, column = state.without(0), state.moments.columns[1]
            trial = self._extended(without)
            better = trial is not None and trial.error < state.error * (1 - 1e-4)
            state = (
                trial
                if trial is not None and better
                else without.with_column(state.chosen[0], column)
            )
        return state

    def _extended(self, state: GreedyState) -> GreedyState | None:
        """With the concept, of the most promising ones, that lowers the cross-validated error most."""
        residual = state.moments.residual()
        if (
            state.error <= NOTHING_LEFT * self.start.moments.squares.sum()
            or len(state.chosen) >= self.limits.concepts
        ):
            return None
        least = float(residual @ residual) / len(residual) * self.limits.significance
        offers = sorted(self._offers(residual, least), key=lambda o: -o.gain)
        fitting = (o for o in offers if o.gain > 0 and self._fits(o.concept, state.chosen))
        trials = [
            state.with_concept(o.concept, self.library) for o in islice(fitting, self.limits.tries)
        ]
        best = min((t for t in trials if not t.repeats()), key=lambda t: t.error, default=None)
        return best if best is not None and best.error < state.error else None

    def _refined(self, before: GreedyState, after: GreedyState) -> GreedyState:
        """The new concept as a window, as a conjunction, and with another window in that, where this explains more."""
        after = self._best_form(before, after, WIDER, widened_forms(after.chosen[-1]))
        residual, column = before.moments.residual(), after.moments.columns[-1]
        after = self._best_form(
            before,
            after,
            NARROWER,
            narrowed_forms(self.library, residual, column, after.chosen[-1]),
        )
        return self._best_form(before, after, WIDER, rewindowed_forms(after.chosen[-1]))

    def _best_form(
        self, before: GreedyState, after: GreedyState, least: float, forms: Iterable[Concept]
    ) -> GreedyState:
        """The form that lowers the error most, if by at least so many times what the present one does."""
        fitting = (form for form in forms if self.allowed(form) and self._fits(form, before.chosen))
        trials = [before.with_concept(form, self.library) for form in fitting]
        best = min(trials, key=lambda t: t.error, default=after)
        return best if before.error - best.error > least * (before.error - after.error) else after

    def _fits(self, concept: Concept, chosen: Sequence[Concept]) -> bool:
        every = [*chosen, concept]
        return (
            concept not in chosen
            and not any(_contains(concept, c) or _contains(c, concept) for c in chosen)
            and sum(c.atoms() for c in every) <= self.limits.concepts
            and sum(len(c.literals()) for c in every) <= self.limits.literals
            and sum(word_count(c.phrase()) for c in every) <= self.limits.words - PROSE
        )

    def _offers(self, residual: np.ndarray, least: float) -> list[ScoredConcept]:
        library, offers = self.library, []
        for channel in self.channels:
            sums = channel.residual_sums(residual)
            by_class = library.class_members @ sums
            offers += _top(
                library.classes,
                by_class,
                channel.class_counts,
                self.classes,
                least,
                channel.concept,
            )
            if not self.lists:
                continue
            for words, gain in grow_word_lists(
                library, channel, channel.sums_by_word(sums), self.limits.listed, least
            ):
                listed = Words(*(library.words[w] for w in words))
                offers.append(ScoredConcept(gain, channel.concept(listed)))
        if self.others.any():
            sums = np.stack(
                [library.position_members @ (residual * (library.fold == f)) for f in range(FOLDS)],
                axis=1,
            )
            offers += _top(
                library.position_concepts,
                sums,
                library.position_counts,
                self.others,
                least,
                lambda c: c,
            )
        return [o for o in offers if self.allowed(o.concept)]


def _top(
    concepts: Sequence[C],
    sums: np.ndarray,
    counts: np.ndarray,
    allowed: np.ndarray,
    least: float,
    read: Callable[[C], Concept],
    most: int = 20,
) -> list[ScoredConcept]:
    gains = np.where((in_sample_gain(sums, counts) >= least) & allowed, cv_gain(sums, counts), 0.0)
    best = np.argsort(-gains, kind="stable")[:most]
    return [ScoredConcept(float(gains[i]), read(concepts[i])) for i in best if gains[i] > 0]


def _contains(larger: Concept, smaller: Concept) -> bool:
    """Whether one list of words holds all of another one: a reader wants one of them."""
    if type(larger) is not type(smaller):
        return False
    if isinstance(larger, Words):
        return set(larger.literals()) >= set(smaller.literals())
    return isinstance(larger, After) and _contains(larger.inner, smaller.parts()[0])


def is_token(concept: Concept) -> bool:
    """One exact token at the position itself."""
    return isinstance(concept, Token)


def is_category(concept: Concept) -> bool:
    """A concept that lists no token or word."""
    return not concept.literals()
