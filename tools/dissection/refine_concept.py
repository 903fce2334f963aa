"""Refined forms of a concept: narrowed by a second condition, or widened to a window after it.

1. ``narrowed_forms``: on the positions where the concept holds, which other concept separates the
   residuals? The best few give ``both(concept, other)`` (compositional explanations, Mu & Andreas
   2020, arXiv 2006.14032).
2. ``widened_forms``: ``after(x)`` and ``x`` as ``recent(n, x)`` for some n, and as ``since(x)``.

The search decides whether a form is worth its place. It demands a minimum effect, since an AND with
a condition that nearly always holds would otherwise win by chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .candidates import CandidateMatrix, sums_by_fold
from .concepts import Concept
from .concepts.before import After, Recent, Since
from .concepts.both import Both
from .ridge import cv_gain

if TYPE_CHECKING:
    from jaxtyping import Float

WINDOWS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20)
MIN_SHARE, MAX_SHARE = 0.02, 0.9  # of the concept's positions, where the second condition holds
MIN_POSITIONS = 12  # of the conjunction
FORMS = 6


def widened_forms(concept: Concept) -> Iterator[Concept]:
    """Windows after the concept, or after the concept of the token before."""
    inner = concept.inner if isinstance(concept, After) else concept
    if not isinstance(inner, Recent | Since | Both):
        yield from (Recent(n, inner) for n in WINDOWS)
        if isinstance(concept, After):
            yield Since(inner)


def rewindowed_forms(concept: Concept) -> Iterator[Concept]:
    """A conjunction with its second part replaced by other windows."""
    if isinstance(concept, Both) and isinstance(concept.second, After | Recent):
        yield from (Both(concept.first, Recent(n, concept.second.inner)) for n in WINDOWS)


def narrowed_forms(
    candidates: CandidateMatrix,
    residual: Float[np.ndarray, "positions"],
    column: Float[np.ndarray, "positions"],
    concept: Concept,
) -> list[Concept]:
    """Conjunctions with the concepts of largest gain among the positions of this one.

    Args:
        column: 1 where the concept holds, else 0.
    """
    if isinstance(concept, Both):
        return []
    held = np.flatnonzero(column)
    inside = candidates.rows_by_position[:, held].tocsr()
    joint = np.diff(inside.indptr)
    share = joint / max(len(held), 1)
    enough = (share >= MIN_SHARE) & (share <= MAX_SHARE) & (joint >= MIN_POSITIONS)
    rows = np.flatnonzero(enough)
    gains = cv_gain(*sums_by_fold(inside[rows], residual[held], candidates.fold[held]))
    best = [int(rows[i]) for i in np.argsort(-gains, kind="stable")[:FORMS] if gains[i] > 0]
    conditions = (candidates.concepts[row] for row in best)
    return [_conjunction(concept, other) for other in conditions if other != concept]


def _conjunction(left: Concept, right: Concept) -> Both:
    """In the order of English: adjectives first, then the token's kind, then its place."""
    return Both(*sorted((left, right), key=lambda c: (c.contextual(), not c.adjective())))
