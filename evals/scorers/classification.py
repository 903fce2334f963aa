"""How good decisions about labelled examples are, with intervals over documents.

- *balanced accuracy*: (true-positive rate + true-negative rate) / 2. A constant answer gets exactly
  1/2, however the classes are mixed.
- *AUROC*: how often a positive is graded above a negative, ties counting half (Mann & Whitney
  1947). Exactly 1/2 for a constant grade.
- *accuracy* of a choice among k, where each place is right equally often: exactly 1/k for a
  constant answer.

A resample of documents without a positive (or negative) says nothing about that class: its rate
counts as 1/2. Below ten documents an interval is meaningless, and none is given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ..statistics.bootstrap import (
    Interval,
    Statistic,
    bootstrap,
    ends_of_draws,
    resample_counts,
)
from ..statistics.correlation import group_sums
from ..statistics.resampling import IntervalMethod
from ..verdict import DOCUMENTS


@dataclass(frozen=True, eq=False)
class LabelledExamples:
    """The true label and the document (or group of near-duplicates) of each example."""

    label: Bool[np.ndarray, " examples"]
    document: Int[np.ndarray, " examples"]
    interval: IntervalMethod = "expanded"


def balanced_accuracy(
    yes: Bool[np.ndarray, " examples"], examples: LabelledExamples, seed: int = 0
) -> Interval:
    """(TPR + TNR) / 2 of yes-or-no decisions."""
    label, yes = np.asarray(examples.label, dtype=bool), np.asarray(yes, dtype=bool)
    columns = np.stack([label & yes, label, ~label & ~yes, ~label], axis=1).astype(np.float64)

    def statistic(sums: Float[np.ndarray, "resamples 4"]) -> Float[np.ndarray, " resamples"]:
        return (rate(sums[..., 0], sums[..., 1]) + rate(sums[..., 2], sums[..., 3])) / 2

    return document_interval(columns, examples.document, statistic, seed, examples.interval)


def rate(
    hits: Float[np.ndarray, "*shape"], of: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """Share of hits; 1/2 where there is nothing to hit."""
    return np.where(of > 0, hits / np.maximum(of, 1.0), 0.5)


def accuracy(
    hit: Float[np.ndarray, " trials"],
    document: Int[np.ndarray, " trials"],
    seed: int = 0,
    interval: IntervalMethod = "expanded",
) -> Interval:
    """Mean of hits (1, 0, or 1/k for a choice tied among k), with an interval over documents."""
    columns = np.stack([hit, np.ones(len(hit))], axis=1).astype(np.float64)

    def statistic(sums: Float[np.ndarray, "resamples 2"]) -> Float[np.ndarray, " resamples"]:
        hits, trials = sums[..., 0], sums[..., 1]
        return hits / np.maximum(trials, 1.0)

    return document_interval(columns, document, statistic, seed, interval)


def document_interval(
    columns: Float[np.ndarray, "examples k"],
    document: Int[np.ndarray, " examples"],
    statistic: Statistic,
    seed: int,
    interval: IntervalMethod = "expanded",
) -> Interval:
    """A statistic of column sums, with an interval over documents if there are at least ten."""
    sums = group_sums(columns, document)
    estimate = bootstrap(sums, statistic, seed, interval)
    return estimate if len(sums) >= DOCUMENTS else Interval(estimate.value, None, None)


def auroc(
    grade: Float[np.ndarray, " examples"], examples: LabelledExamples, seed: int = 0
) -> Interval:
    """Area under the ROC curve of a grade that is larger for positives."""
    grade, label = np.asarray(grade, dtype=np.float64), np.asarray(examples.label, dtype=bool)
    if not label.any() or label.all():
        return Interval(0.5, None, None)
    # 1. Whether each positive (row) is graded above each negative (column): 1, or 1/2 for a tie.
    wins = np.sign(grade[label][:, None] - grade[~label][None, :]) / 2 + 0.5
    value = float(wins.mean())
    documents, document = np.unique(examples.document, return_inverse=True)
    if len(documents) < DOCUMENTS:
        return Interval(value, None, None)

    def weighted(counts: Float[np.ndarray, "draws documents"]) -> Float[np.ndarray, " draws"]:
        # 2. An example counts in a draw as often as its document does.
        weight = counts[:, document]
        positive, negative = weight[:, label], weight[:, ~label]
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        return rate(((positive @ wins) * negative).sum(axis=1), pairs)

    draws = weighted(resample_counts(len(documents), seed))
    left_out = weighted(1 - np.eye(len(documents)))
    return ends_of_draws(value, draws, left_out, examples.interval)
