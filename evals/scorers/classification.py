"""What decisions about labelled examples are worth, with intervals over documents.

- *balanced accuracy*: (share of the positives called so + share of the negatives called so) / 2.
  Whoever always says the same gets exactly 1/2, however the classes are mixed.
- *AUROC*: how often a positive is graded above a negative, ties counting half (Mann & Whitney
  1947). Exactly 1/2 for a constant grade.
- *accuracy* of a choice among k, where each place is right equally often: exactly 1/k for whoever
  always says the same.

A resample of documents without a single positive (or negative) says nothing of that class: its
share counts as 1/2. With fewer than ten documents a percentile interval is no interval, and none is
given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ..statistics.bootstrap import LEVEL, Interval, Statistic, bootstrap, resample_counts
from ..statistics.correlation import group_sums
from ..verdict import DOCUMENTS


@dataclass(frozen=True, eq=False)
class LabelledExamples:
    """Examples with their truth and the document that each is from."""

    label: Bool[np.ndarray, " examples"]
    document: Int[np.ndarray, " examples"]

    @property
    def documents(self) -> int:
        """Different documents."""
        return len(np.unique(self.document))


def balanced_accuracy(
    said: Bool[np.ndarray, " examples"], items: LabelledExamples, seed: int = 0
) -> Interval:
    """(TPR + TNR) / 2 of yes-or-no decisions."""
    label, said = np.asarray(items.label, dtype=bool), np.asarray(said, dtype=bool)
    columns = np.stack([label & said, label, ~label & ~said, ~label], axis=1).astype(np.float64)
    return _with_interval(columns, items.document, _balanced, seed)


def _balanced(sums: Float[np.ndarray, "resamples 4"]) -> Float[np.ndarray, " resamples"]:
    rates = [
        np.where(sums[..., n] > 0, sums[..., hit] / np.maximum(sums[..., n], 1.0), 0.5)
        for hit, n in ((0, 1), (2, 3))
    ]
    return (rates[0] + rates[1]) / 2


def accuracy(
    hit: Float[np.ndarray, " trials"], document: Int[np.ndarray, " trials"], seed: int = 0
) -> Interval:
    """Mean of hits; one tied among k counts 1/k."""
    columns = np.stack([hit, np.ones(len(hit))], axis=1).astype(np.float64)
    return _with_interval(
        columns, document, lambda sums: sums[..., 0] / np.maximum(sums[..., 1], 1.0), seed
    )


def _with_interval(
    columns: Float[np.ndarray, "examples k"],
    document: Int[np.ndarray, " examples"],
    statistic: Statistic,
    seed: int,
) -> Interval:
    sums = group_sums(columns, document)
    found = bootstrap(sums, statistic, seed)
    return found if len(sums) >= DOCUMENTS else Interval(found.value, None, None)


def auroc(
    grade: Float[np.ndarray, " examples"], items: LabelledExamples, seed: int = 0
) -> Interval:
    """Area under the ROC curve of a grade, the larger the more positive."""
    grade, label = np.asarray(grade, dtype=np.float64), np.asarray(items.label, dtype=bool)
    if not label.any() or label.all():
        return Interval(0.5, None, None)
    positive, negative = grade[label], grade[~label]
    wins = np.sign(positive[:, None] - negative[None, :]) / 2 + 0.5
    value = float(wins.mean())
    names, place = np.unique(items.document, return_inverse=True)
    if len(names) < DOCUMENTS:
        return Interval(value, None, None)
    weight = resample_counts(len(names), seed)[:, place]
    up, down = weight[:, label], weight[:, ~label]
    pairs = up.sum(axis=1) * down.sum(axis=1)
    draws = np.where(pairs > 0, ((up @ wins) * down).sum(axis=1) / np.maximum(pairs, 1.0), 0.5)
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))
