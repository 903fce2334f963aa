"""Scores of judged windows, as detection and fuzzing define them: balanced accuracy and AUROC.

A window without an answer is a failure of the judge and counts for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .records import RecordedScore, SeenText


class JudgedWindow(NamedTuple):
    """A text that a judge was asked about, with its probability that the unit fires, if it gave one."""

    text: SeenText
    probability: float | None


def classification_scores(scorer: str, windows: Sequence[JudgedWindow]) -> list[RecordedScore]:
    """Balanced accuracy, and AUROC where every answered window has a probability.

    Nothing where the judge answered on active or on inactive windows only.
    """
    answered = [window for window in windows if window.text.answer is not None]
    active = np.array([window.text.active for window in answered], dtype=bool)
    if not len(active) or active.all() or not active.any():
        return []
    right = np.array([window.text.answer == window.text.active for window in answered])
    balanced = (right[active].mean() + right[~active].mean()) / 2
    scores = [RecordedScore(scorer, float(balanced))]
    probabilities = [window.probability for window in answered if window.probability is not None]
    if len(probabilities) == len(answered):
        from scipy.stats import rankdata

        ranks = rankdata(probabilities)
        n = int(active.sum())
        above = ranks[active].sum() - n * (n + 1) / 2
        scores.append(RecordedScore(f"{scorer}.auroc", float(above / (n * (len(active) - n)))))
    return scores
