"""Refined forms of a concept: narrowed by a second condition, or widened to a window after it.

1. ``narrowed``: on the positions where the concept holds, which other concept tells the residuals
   apart? The best few give ``both(concept, other)`` (compositional explanations, Mu & Andreas 2020,
   arXiv 2006.14032).
2. ``widened``: ``after(x)`` and ``x`` as ``recent(n, x)`` for some n, and as ``since(x)``.

Whether a form is worth its place is for the search to say; it asks for a minimum effect, since an
AND with a condition that nearly always holds would otherwise win by chance.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .candidates import FOLDS, CandidateMatrix
from .concepts import Concept
from .concepts.before import After, Recent, Since
from .concepts.both import Both
from .ridge import cv_gain

WINDOWS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20)
SHARE = (0.02, 0.9)  # of the concept's positions, where the second condition holds
KEPT = 3  # narrowed forms a channel
ENOUGH = 12  # positions that the conjunction needs


def widened_forms(concept: Concept) -> Iterator[Concept]:
    """Windows after what the concept, or the token before it, is."""
    inner = concept.inner if isinstance(concept, After) else concept
    if not isinstance(inner, Recent | Since | Both):
        yield from _windows(inner)
        if isinstance(concept, After):
            yield Since(inner)


def _windows(inner: Concept) -> Iterator[Concept]:
    return (Recent(n, inner) for n in WINDOWS)


def rewindowed_forms(concept: Concept) -> Iterator[Concept]:
    """A conjunction whose second part becomes another window."""
    if isinstance(concept, Both) and isinstance(concept.second, After | Recent):
        yield from (Both(concept.first, form) for form in _windows(concept.second.inner))


def narrowed_forms(
    library: CandidateMatrix, residual: np.ndarray, column: np.ndarray, concept: Concept
) -> list[Concept]:
    """Conjunctions with the concepts that tell most among the positions where this one holds."""
    held = column > 0
    inside = residual * held
    found: list[Concept] = []
    for channel in library.channels:
        sums = library.class_members @ channel.residual_sums(inside)
        counts = library.class_members @ library.sums_by_fold(
            channel.index, len(library.text.types), held.astype(np.float64)
        )
        found += [channel.concept(library.classes[i]) for i in _best(sums, counts, held.sum())]
    sums = np.stack(
        [library.position_members @ (inside * (library.fold == f)) for f in range(FOLDS)], axis=1
    )
    counts = np.stack(
        [library.position_members @ (held * (library.fold == f)) for f in range(FOLDS)], axis=1
    )
    found += [library.position_concepts[i] for i in _best(sums, counts, held.sum())]
    return [
        _joined(concept, other)
        for other in found
        if other != concept and not isinstance(concept, Both)
    ]


def _best(sums: np.ndarray, counts: np.ndarray, held: int) -> list[int]:
    share = counts.sum(axis=1) / max(held, 1)
    fits = (share >= SHARE[0]) & (share <= SHARE[1]) & (counts.sum(axis=1) >= ENOUGH)
    gains = np.where(fits, cv_gain(sums, counts), 0.0)
    return [int(i) for i in np.argsort(-gains, kind="stable")[:KEPT] if gains[i] > 0]


def _joined(first: Concept, second: Concept) -> Both:
    """What the token is comes before where it stands; an adjective comes first."""
    return Both(*sorted((first, second), key=lambda c: (c.contextual(), not c.adjective())))
