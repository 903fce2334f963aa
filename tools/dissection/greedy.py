"""Greedy selection of concepts with swaps: the engine of ``search``.

1. Of the concepts with the largest cross-validated gains, add the one that lowers the error most
   when all weights are fitted again.
2. Stop when no concept's gain is significant: a unit that follows one token gets one concept.
3. A concept that was added early may be narrowed to a conjunction or widened to a window
   (``refine_concept``).
4. Swap: take each concept out in turn; where another does better in its place, exchange them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from .candidates import FOLDS, CandidateMatrix
from .concepts import Concept
from .concepts.before import After
from .concepts.words import Token, Words
from .predicate import MAX_CONCEPTS, MAX_LITERALS
from .refine_concept import narrowed_forms, rewindowed_forms, widened_forms
from .ridge import SHRINK, RidgeMoments, cv_gain, in_sample_gain
from .statement import MAX_WORDS, word_count
from .word_lists import grow_word_lists

if TYPE_CHECKING:
    from jaxtyping import Float

C = TypeVar("C", bound=Concept)
FRAME_WORDS = 10  # words of a sentence beyond its concepts: two verbs, prepositions, six grades
ROUNDING_ERROR = 1e-9  # share of the signal's squares below which only rounding is left
SAME_SHARE = 0.9  # two concepts count as one if their overlap is this share of their union
REFINED = 4  # concepts to refine: later ones of real units gained nothing, planted units have few
WIDER_GAIN, NARROWER_GAIN = 1.1, 1.4  # a refined form must lower the error this many times as much
SWAP_GAIN = 1e-4  # share of the error that a swap must save
BEST_PER_CHANNEL = 20
SURELY_NOISE = 1 - 1e-6
"""Share of the least significant gain below which a gain from sums over all folds at once is surely
not significant: sums in another order differ by some 1e-12."""


@dataclass(frozen=True)
class FormulaLimits:
    """How large a formula may get; the defaults are the contract's."""

    concepts: int = MAX_CONCEPTS
    literals: int = MAX_LITERALS
    words: int = MAX_WORDS
    listed: int = 4
    """Words in one list."""
    cycles: int = 1
    """Passes of swapping; each costs about as much as the greedy pass."""
    tries: int = 5
    """Concepts, best gain first, for which the error is computed with all weights fitted again."""
    significance: float = 25.0
    """Squared z below which a gain counts as noise (about 20,000 candidates are tried)."""


def is_concept(concept: Concept) -> bool:
    """Any concept: a search without a restriction."""
    return isinstance(concept, Concept)


def is_token(concept: Concept) -> bool:
    """One exact token at the position itself."""
    return isinstance(concept, Token)


def is_category(concept: Concept) -> bool:
    """A concept that lists no token or word."""
    return not concept.literals()


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
        self._subset = candidates.subset(allowed)
        self._lists = allowed(Words("a", "b"))
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
        # 2. The least gain that is significant, in units of the residual's variance.
        residual = state.moments.residual()
        min_gain = float(residual @ residual) / len(residual) * self.limits.significance
        # 1. The concepts with the largest gains, each tried with all weights fitted again.
        scored = sorted(self._scored_concepts(residual, min_gain), key=lambda s: -s.gain)
        fitting = (s for s in scored if s.gain > 0 and self._fits(s.concept, state.chosen))
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
        if concept in chosen or any(_contains(concept, c) or _contains(c, concept) for c in chosen):
            return False
        concepts = [*chosen, concept]
        atoms = sum(c.atoms() for c in concepts)
        literals = sum(len(c.literals()) for c in concepts)
        words = FRAME_WORDS + sum(word_count(c.phrase()) for c in concepts)
        limits = self.limits
        return atoms <= limits.concepts and literals <= limits.literals and words <= limits.words

    def _scored_concepts(
        self, residual: Float[np.ndarray, "positions"], min_gain: float
    ) -> list[ScoredConcept]:
        """The best classes and word lists of each channel, and the best other concepts."""
        candidates, subset = self.candidates, self._subset
        scored: list[ScoredConcept] = []
        sums_by_type = [channel.sums_by_type(residual) for channel in subset.channels]
        # Few classes are significant. One product over all folds and channels at once says which.
        totals = subset.members @ np.array([sums.sum(axis=1) for sums in sums_by_type]).T
        for channel, by_type, total in zip(subset.channels, sums_by_type, totals.T, strict=True):
            counts = channel.class_counts[subset.rows]
            gains = total**2 / (counts.sum(axis=1) + SHRINK)
            chosen = np.flatnonzero(gains >= min_gain * SURELY_NOISE)
            scored += _best(
                [candidates.classes[row] for row in subset.rows[chosen]],
                subset.members[chosen] @ by_type,
                counts[chosen],
                min_gain,
                channel.concept,
            )
            if self._lists:
                by_word = channel.sums_by_word(by_type)
                listed = self.limits.listed
                for words, gain in grow_word_lists(candidates, channel, by_word, listed, min_gain):
                    concept = Words(*(candidates.words[w] for w in words))
                    scored.append(ScoredConcept(gain, channel.concept(concept)))
        if subset.others.any():
            others = np.flatnonzero(subset.others)
            scored += _best(
                [candidates.position_concepts[i] for i in others],
                candidates.position_sums(residual)[others],
                candidates.position_counts[others],
                min_gain,
                lambda concept: concept,
            )
        return [s for s in scored if self.allowed(s.concept)]


def _best(
    concepts: Sequence[C],
    sums: Float[np.ndarray, "concepts folds"],
    counts: Float[np.ndarray, "concepts folds"],
    min_gain: float,
    read: Callable[[C], Concept],
) -> list[ScoredConcept]:
    """The concepts of largest gain, if significant; ``read`` puts them into their channel."""
    significant = in_sample_gain(sums, counts) >= min_gain
    gains = np.where(significant, cv_gain(sums, counts), 0.0)
    best = np.argsort(-gains, kind="stable")[:BEST_PER_CHANNEL]
    return [ScoredConcept(float(gains[i]), read(concepts[i])) for i in best if gains[i] > 0]


def _contains(larger: Concept, smaller: Concept) -> bool:
    """Whether one list of words includes another one, so that a formula needs only one of them."""
    if type(larger) is not type(smaller):
        return False
    if isinstance(larger, Words):
        return set(larger.literals()) >= set(smaller.literals())
    return isinstance(larger, After) and _contains(larger.inner, smaller.parts()[0])
