"""Purity: does the explanation cover every kind of text that the unit fires on, or only the
commonest?

In the spirit of PRISM (Kopf et al. 2025, arXiv 2506.15538), which clusters a unit's exemplars; here
the number of clusters is found and the explanation is tested on each.

1. The active windows of detection are clustered by the words around their strongest token (average
   linkage on cosine distance; 2 to 5 clusters, by the best silhouette; one cluster where no
   silhouette reaches 0.1).
2. The decisions are those of detection, on the same windows: with a judge the requests are the
   same, asked once.
3. `purity`: balanced accuracy with the true-positive rate averaged over the clusters, each counting
   the same. `purity.worst`: with the rate of the cluster that is covered worst. Both 0.5 for
   whoever always says the same.

A unit with one cluster scores as in detection. Far below detection: the explanation names one of
several meanings.

Cost with a judge: nothing beyond detection.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int

from ..score import Score
from ..statistics.bootstrap import Interval, bootstrap
from ..statistics.correlation import group_sums
from ..verdict import DOCUMENTS
from .decisions import decision_floors, make_decisions
from .detection import activity_question
from .embedding import bag_of_words
from .registry import ScoringTask, scorer
from .windows import ChosenWindows, Windows, choose_windows, cut_windows

BEFORE, AFTER = 3, 1
MOST_CLUSTERS = 5
LEAST_SILHOUETTE = 0.1
SMALLEST = 3
"""A cluster of fewer windows is joined to the largest."""


@scorer("purity")
def purity(task: ScoringTask) -> list[Score]:
    """Balanced accuracy with every cluster of exemplars counting the same, and with the worst alone."""
    windows = cut_windows(task.sample, task.text)
    chosen = choose_windows(windows, task.seed)
    question = activity_question(windows, chosen)
    said = make_decisions(task, question).yes
    cluster = cluster_windows(windows, chosen, task)
    scores = []
    for name, together in (("purity", np.mean), ("purity.worst", np.min)):
        value = partial(
            _covered,
            cluster=cluster,
            document=question.items.document,
            seed=task.seed,
            together=together,
        )
        floors = decision_floors(
            task, lambda predicted, value=value: value(question.from_prediction(predicted).yes)
        )
        scores.append(Score(name, task.split, "top_and_random", *value(said), floors))
    return scores


def cluster_windows(
    windows: Windows, chosen: ChosenWindows, task: ScoringTask
) -> Int[np.ndarray, " items"]:
    """Cluster of each active window, from 0; -1 for the quiet ones."""
    positives = np.flatnonzero(chosen.label)
    texts = [_around(windows, int(chosen.window[i])) for i in positives]
    rows = np.asarray((task.resources.embed or bag_of_words)(["", *texts])[1:], dtype=np.float64)
    found = np.full(len(chosen.label), -1)
    found[positives] = _joined(_cluster(rows))
    return found


def _around(windows: Windows, window: int) -> str:
    """The words around a window's strongest token, the token itself three times: it counts most."""
    size = windows.tokens_at(window, windows.true.size)
    peak, shown = int(size.argmax()), windows.token_strings(window)
    return "".join(shown[max(0, peak - BEFORE) : peak + AFTER + 1]) + 2 * f" {shown[peak]}"


def _cluster(rows: Float[np.ndarray, "windows d"]) -> Int[np.ndarray, " windows"]:
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.metrics import silhouette_score

    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(length > 0, length, 1.0)
    distance = np.clip(1 - unit @ unit.T, 0, None)
    np.fill_diagonal(distance, 0.0)
    best, found = LEAST_SILHOUETTE, np.zeros(len(rows), dtype=np.int64)
    for count in range(2, min(MOST_CLUSTERS, len(rows) - 1) + 1):
        labels = AgglomerativeClustering(
            count, metric="precomputed", linkage="average"
        ).fit_predict(distance)
        quality = float(silhouette_score(distance, labels, metric="precomputed"))
        if quality > best:
            best, found = quality, labels
    return found


def _joined(labels: Int[np.ndarray, " windows"]) -> Int[np.ndarray, " windows"]:
    sizes = np.bincount(labels)
    joined = np.where(sizes[labels] < SMALLEST, sizes.argmax(), labels)
    return np.unique(joined, return_inverse=True)[1]


def _covered(
    said: Bool[np.ndarray, " items"],
    *,
    cluster: Int[np.ndarray, " items"],
    document: Int[np.ndarray, " items"],
    seed: int,
    together: Callable[..., np.ndarray],
) -> Interval:
    kinds = np.arange(-1, cluster.max() + 1)
    member = cluster[:, None] == kinds
    right = member & (said[:, None] == (kinds >= 0))
    sums = group_sums(np.hstack([right, member]).astype(np.float64), document)

    def statistic(total: np.ndarray) -> np.ndarray:
        hit, n = total[..., : len(kinds)], total[..., len(kinds) :]
        rate = np.where(n > 0, hit / np.maximum(n, 1.0), 0.5)
        return (rate[..., 0] + together(rate[..., 1:], axis=-1)) / 2

    found = bootstrap(sums, statistic, seed)
    return found if len(sums) >= DOCUMENTS else Interval(found.value, None, None)
