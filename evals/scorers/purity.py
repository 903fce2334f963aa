"""Purity: does the explanation cover every kind of text the unit fires on, or only the commonest?

In the spirit of PRISM (Kopf et al. 2025, arXiv 2506.15538), which clusters a unit's exemplars; here
the number of clusters is chosen, and the explanation is tested on each.

1. The active windows of detection are clustered by the words around their strongest token: average
   linkage on cosine distance; 2 to 5 clusters, by the best silhouette; one cluster if no silhouette
   reaches 0.1.
2. The decisions are those of detection, on the same windows: with a judge the requests are the
   same, asked once.
3. `purity`: balanced accuracy with the true-positive rate averaged over the clusters, each with the
   same weight. `purity.worst`: with the rate of the worst cluster. Both 0.5 for a constant answer.

A unit with one cluster scores as in detection. A score far below detection means that the
explanation names one of several meanings.

Cost with a judge: nothing beyond detection.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from ...tools.subject.token_text import join_tokens
from ..score import Score
from ..statistics.bootstrap import Interval
from .classification import LabelledExamples, document_interval, rate
from .decisions import decision_floors, make_decisions, mixed_text_score
from .detection import activity_question
from .embedding import bag_of_words
from .registry import ScoringTask, scorer
from .windows import ChosenWindows, Windows, choose_windows, cut_windows

BEFORE, AFTER = 3, 1
"""Tokens before and after the strongest one; windows are clustered by these texts."""
MOST_CLUSTERS = 5
MIN_SILHOUETTE = 0.1
SMALLEST_CLUSTER = 3
"""A cluster of fewer windows is merged into the largest."""


@scorer("purity")
def purity(task: ScoringTask) -> list[Score]:
    """Balanced accuracy with equal weight for each cluster, and with the worst cluster."""
    windows = cut_windows(task.sample, task.text)
    chosen = choose_windows(windows, task.seed)
    question = activity_question(windows, chosen)
    yes = make_decisions(task, question).yes
    cluster = cluster_windows(windows, chosen, task)
    scores = []
    for name, combine in (("purity", np.mean), ("purity.worst", np.min)):

        def value_of(yes: np.ndarray, combine: Callable[..., np.ndarray] = combine) -> Interval:
            return _cluster_accuracy(yes, cluster, question.examples, combine, task.seed)

        floors = decision_floors(
            task, lambda predicted, value=value_of: value(question.from_prediction(predicted).yes)
        )
        scores.append(mixed_text_score(name, task, value_of(yes), floors))
    return scores


def cluster_windows(
    windows: Windows, chosen: ChosenWindows, task: ScoringTask
) -> Int[np.ndarray, " items"]:
    """Cluster of each active window, from 0; -1 for the quiet ones."""
    positives = np.flatnonzero(chosen.label)
    texts = [_text_around_peak(windows, int(chosen.window[i])) for i in positives]
    embed = task.resources.embed or bag_of_words
    # `embed` takes an explanation first; windows are compared with each other, so it is empty.
    rows = np.asarray(embed(["", *texts])[1:], dtype=np.float64)
    cluster = np.full(len(chosen.label), -1)
    cluster[positives] = _merge_small(_best_clustering(rows))
    return cluster


def _text_around_peak(windows: Windows, window: int) -> str:
    """The words around a window's strongest token, the token itself three times: it counts most."""
    size, tokens = windows.tokens_at(window, windows.true.size), windows.token_strings(window)
    peak = int(size.argmax())
    return join_tokens(tokens[max(0, peak - BEFORE) : peak + AFTER + 1]) + 2 * f" {tokens[peak]}"


def _best_clustering(rows: Float[np.ndarray, "windows d"]) -> Int[np.ndarray, " windows"]:
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.metrics import silhouette_score

    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(length > 0, length, 1.0)
    distance = np.clip(1 - unit @ unit.T, 0, None)
    np.fill_diagonal(distance, 0.0)
    best_silhouette, best = MIN_SILHOUETTE, np.zeros(len(rows), dtype=np.int64)
    for count in range(2, min(MOST_CLUSTERS, len(rows) - 1) + 1):
        clustering = AgglomerativeClustering(count, metric="precomputed", linkage="average")
        labels = clustering.fit_predict(distance)
        silhouette = float(silhouette_score(distance, labels, metric="precomputed"))
        if silhouette > best_silhouette:
            best_silhouette, best = silhouette, labels
    return best


def _merge_small(labels: Int[np.ndarray, " windows"]) -> Int[np.ndarray, " windows"]:
    sizes = np.bincount(labels)
    merged = np.where(sizes[labels] < SMALLEST_CLUSTER, sizes.argmax(), labels)
    return np.unique(merged, return_inverse=True)[1]


def _cluster_accuracy(
    yes: Bool[np.ndarray, " items"],
    cluster: Int[np.ndarray, " items"],
    examples: LabelledExamples,
    combine: Callable[..., np.ndarray],
    seed: int,
) -> Interval:
    """Balanced accuracy whose true-positive rate is combined from the rates of the clusters."""
    kinds = np.arange(-1, cluster.max() + 1)  # the quiet windows first
    is_member = cluster[:, None] == kinds
    is_right = is_member & (yes[:, None] == (kinds >= 0))
    columns = np.hstack([is_right, is_member]).astype(np.float64)

    def statistic(sums: np.ndarray) -> np.ndarray:
        rates = rate(sums[..., : len(kinds)], sums[..., len(kinds) :])
        return (rates[..., 0] + combine(rates[..., 1:], axis=-1)) / 2

    return document_interval(columns, examples.document, statistic, seed, examples.interval)
