"""Scores of items under a subject, as it is or under interventions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ..behaviour.sequence_probability import RowEdit, TokenRow, score_rows
from ..errors import UsageError
from .items import BiasItem, WeightedText

if TYPE_CHECKING:
    from ..subject import Subject

ROWS_AT_ONCE = 512
"""Texts between two reports of progress."""


def score_items(
    subject: Subject,
    items: Sequence[BiasItem],
    edit: RowEdit | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Float[np.ndarray, "item text"]:
    """The score of each text of each item, in nats.

    Args:
        edit: interventions under which the subject reads.
        progress: called with the number of texts done and to do.

    Raises:
        UsageError: there is no item, or a text is longer than the subject's context.
    """
    texts = [text for item in items for text in item.texts]
    if not texts:
        raise UsageError("no item to score: give at least one (is the slice empty?)")
    longest = max(len(text.ids) for text in texts)
    if longest > subject.context_length:
        raise UsageError(
            f"a text of {longest} tokens given; {subject.name} reads at most "
            f"{subject.context_length}: leave it out"
        )
    # Texts of similar length are neighbours, so that batches are full.
    order = sorted(range(len(texts)), key=lambda place: len(texts[place].ids))
    scores = np.zeros(len(texts))
    for start in range(0, len(order), ROWS_AT_ONCE):
        places = order[start : start + ROWS_AT_ONCE]
        rows = [TokenRow(texts[place].ids, first_counted(texts[place])) for place in places]
        for place, row, values in zip(places, rows, score_rows(subject, rows, edit), strict=True):
            scores[place] = float(np.dot(texts[place].weights[row.first :], values))
        progress(start + len(places), len(texts))
    return scores.reshape(len(items), -1)


def first_counted(text: WeightedText) -> int:
    """Position of the first token that counts."""
    return next(place for place, weight in enumerate(text.weights) if weight)
