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

from .candidates import CandidateMatrix
from .concepts import Concept
from .concepts.before import After, Recent, Since
from .concepts.both import Both
from .ridge import cv_gain

if TYPE_CHECKING:
    from jaxtyping import Float

WINDOWS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20)
MIN_SHARE, MAX_SHARE = 0.02, 0.9  # of the concept's positions, where the second condition holds
MIN_POSITIONS = 12  # of the conjunction
FORMS_PER_CHANNEL = 3


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
    held = column > 0
    n_held = int(held.sum())
    conditions: list[Concept] = []
    for channel in candidates.channels:
        members = candidates.class_members
        sums = members @ channel.sums_by_type(residual * held)
        counts = members @ channel.sums_by_type(held.astype(np.float64))
        best = _best(sums, counts, n_held)
        conditions += [channel.concept(candidates.classes[i]) for i in best]
    sums = candidates.position_sums(residual * held)
    counts = candidates.position_sums(held.astype(np.float32))
    conditions += [candidates.position_concepts[i] for i in _best(sums, counts, n_held)]
    return [_conjunction(concept, other) for other in conditions if other != concept]


def _best(
    sums: Float[np.ndarray, "concepts folds"],
    counts: Float[np.ndarray, "concepts folds"],
    held: int,
) -> list[int]:
    joint = counts.sum(axis=1)
    share = joint / max(held, 1)
    enough = (share >= MIN_SHARE) & (share <= MAX_SHARE) & (joint >= MIN_POSITIONS)
    gains = np.where(enough, cv_gain(sums, counts), 0.0)
    best = np.argsort(-gains, kind="stable")[:FORMS_PER_CHANNEL]
    return [int(i) for i in best if gains[i] > 0]


def _conjunction(left: Concept, right: Concept) -> Both:
    """In the order of English: adjectives first, then the token's kind, then its place."""
    return Both(*sorted((left, right), key=lambda c: (c.contextual(), not c.adjective())))
