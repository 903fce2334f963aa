"""Does an explanation state what was planted, or only predict it?

1. Text is compared by words, since a pattern matches whole words and a concept may hold on one piece
   of them: a word is active, or held, if one of its tokens is.
2. Neighbouring active words are one *run*. One of at most four words counts as found when its last
   word and at least half of them are held, because a concept that reads from left to right cannot
   know the "New" of "New York"; of a longer one the share counts that is held.
3. Recall is over runs, precision over held words; a concept states a part if their harmonic mean
   (F1) is at least 0.8 and its term has the part's sign.
4. An explanation states a unit's meaning if it states every part, each by one named concept with its
   exceptions. Concepts do not add up to a meaning, and neither does a list of words.

Rows in, rows out: no log, no subject.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ..tools.dissection import Concept, Predicate, TextView
from ..tools.dissection.concepts.structure import continuing
from ..tools.dissection.statement import claims_of

STATED = 0.8
"""F1 from which a concept is nearly the planted rule: of the words that either has, two in three are
common. Taggers and lexica err in a few words of a hundred, and WordNet's animals are not quite ours.

Wrong names, in a run of the suite of meanings: the 50 parts of its 45 decidable units, each against
the best named concept, of either sign, of each of the other 60 units' explanations. In 99 of 100 of
these 3,000 pairs F1 is at most .26. 16 pairs reach 0.8: 15 are units that have some words in common
(both parts about modal verbs, say), one is an accident (*states*, nearly always that of *United
States*). The next has .68 (death words, for *kill*)."""
SHORT_RUN = 4
MAX_LITERALS = 2
"""A concept that lists more words enumerates."""


class StatedPart(NamedTuple):
    """The named concept that comes nearest to a part, and how near."""

    concept: Concept | None
    f1: float

    @property
    def stated(self) -> bool:
        return self.f1 >= STATED


def states_meaning(parts: Sequence[StatedPart]) -> bool:
    """Whether an explanation states all parts of a unit."""
    return bool(parts) and all(part.stated for part in parts)


def stated_parts(
    predicate: Predicate,
    parts: Float[np.ndarray, "part contexts seq"],
    text: TextView,
    mask: Bool[np.ndarray, "contexts seq"],
) -> list[StatedPart]:
    """For each part of a planted unit, the claim of the explanation's meaning that is nearest to it.

    Args:
        parts: the noiseless activations of each part.
        mask: tokens that count.
    """
    words = word_numbers(text)
    nearest: list[StatedPart] = []
    for activation in parts:
        sign = 1 if activation.max() > 0 else -1
        best = StatedPart(None, 0.0)
        for claim in claims_of(predicate.meaning().terms):
            if claim.sign != sign or len(claim.concept.literals()) > MAX_LITERALS:
                continue
            held = claim.concept.mask(text)
            for exception, how in claim.exceptions:
                held = held & ~exception.mask(text) if how == "not" else held
            f1 = agreement(held, activation != 0, words, mask)
            best = StatedPart(claim.concept, f1) if f1 > best.f1 else best
        nearest.append(best)
    return nearest


def word_numbers(text: TextView) -> Int[np.ndarray, "contexts seq"]:
    """The number of each token's word, counted over all contexts; between contexts one is left out."""
    begins = ~continuing(text)
    begins[:, 0] = True
    gaps = np.zeros(begins.shape, dtype=np.int64)
    gaps[1:, 0] = 1
    return np.cumsum(begins + gaps).reshape(begins.shape) - 1


def agreement(
    held: Bool[np.ndarray, "contexts seq"],
    active: Bool[np.ndarray, "contexts seq"],
    words: Int[np.ndarray, "contexts seq"],
    mask: Bool[np.ndarray, "contexts seq"],
) -> float:
    """F1 of where a concept holds with where a part is active; 0 where either is nowhere."""
    held_words, active_words = np.zeros((2, int(words.max()) + 1), dtype=bool)
    held_words[words[held & mask]] = True
    active_words[words[active & mask]] = True
    right = held_words & active_words
    if not right.any():
        return 0.0
    precision = right.sum() / held_words.sum()
    starts = active_words & ~np.concatenate([[False], active_words[:-1]])
    run = (np.cumsum(starts) - 1)[active_words]
    size = np.bincount(run)
    held_of_run = held_words[active_words]
    share = np.bincount(run, held_of_run) / size
    found = (share >= 0.5) & held_of_run[np.cumsum(size) - 1]
    recall = np.where(size <= SHORT_RUN, found, share).mean()
    return float(2 * precision * recall / (precision + recall))
