"""What the search has to beat: ten weighted tokens, and greedy selection over simple concepts.

1. ``ten_weighted_tokens``: the ten tokens whose mean activations (less the overall mean, shrunk)
   say most.
2. ``plain_greedy``: orthogonal matching pursuit over tokens, affixes, casing and kinds of token at
   this position and the one before; no lists, no neighbourhoods, no cross-validation, no swaps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .candidates import FOLDS, CandidateMatrix
from .concepts.words import Token
from .lexicon import Lexicon
from .predicate import MAX_CONCEPTS, Predicate
from .ridge import SHRINK, RidgeMoments, graded_predicate
from .text_view import TextView

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

TOKENS = 10
SIMPLE = ("token", "suffix", "prefix", "casing", "kind", "letters", "position")


def ten_weighted_tokens(
    tokens: Int[np.ndarray, "contexts seq"],
    length: Int[np.ndarray, "contexts"],
    signal: Float[np.ndarray, "contexts seq"],
    mask: Bool[np.ndarray, "contexts seq"],
    lexicon: Lexicon,
) -> Predicate:
    """The ten tokens with the largest S^2 / (N + shrink), S summing the centred signal over a token's N positions."""
    text = TextView(tokens, length, lexicon)
    keep = np.asarray(mask, dtype=bool) & text.real
    keep[:, 0] = False
    values = np.asarray(signal, dtype=np.float64)[keep]
    index = text.type_index[keep]
    counts = np.bincount(index, minlength=len(text.types))
    sums = np.bincount(
        index, values - values.mean() if len(values) else None, minlength=len(text.types)
    )
    value = sums**2 / (counts + SHRINK)
    named = np.array([bool(lexicon.strings[t]) for t in text.types])
    best = [i for i in np.argsort(-value, kind="stable")[:TOKENS] if value[i] > 0 and named[i]]
    moments = RidgeMoments(
        values - values.mean() if len(values) else values, np.zeros(len(values), int), 1
    )
    for i in best:
        moments = moments.added((index == i).astype(np.float64))
    concepts = [Token(lexicon.strings[text.types[i]]) for i in best]
    return graded_predicate(concepts, moments, float(values.mean()) if len(values) else 0.0)


def plain_greedy(library: CandidateMatrix, signal: Float[np.ndarray, "contexts seq"]) -> Predicate:
    """Twelve simple concepts by in-sample gain, refitted after each."""
    values = np.asarray(signal, dtype=np.float64)[library.keep]
    moments, chosen = RidgeMoments(values - values.mean(), library.fold, FOLDS), []
    rows = np.array([i for i, c in enumerate(library.classes) if c.family in SIMPLE])
    while len(chosen) < MAX_CONCEPTS:
        residual, best = moments.residual(), (0.0, None)
        for channel in library.channels:
            sums = (library.class_members[rows] @ channel.residual_sums(residual)).sum(axis=1)
            value = sums**2 / (channel.class_counts[rows].sum(axis=1) + SHRINK)
            for i in np.argsort(-value, kind="stable")[: MAX_CONCEPTS + 1]:
                concept = channel.concept(library.classes[rows[i]])
                if value[i] > best[0] and concept not in chosen:
                    best = (float(value[i]), concept)
        if best[1] is None:
            break
        chosen.append(best[1])
        moments = moments.added(library.column(best[1]))
    return graded_predicate(chosen, moments, float(values.mean()))
