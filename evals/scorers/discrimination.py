"""Discrimination: tell this unit's windows from those of the units most easily confused with it.

Hard negatives, as Paulo et al. 2024 propose: an explanation that is far too broad ("words about
politics") tells an active window from a random one, but not from a neighbour's.

1. The caller gives the neighbours: units of the layer that fire together with the target, or write
   in nearly its direction (`resources.neighbours`, nearest first; at most five are used).
2. Positives: up to 50 active windows, by quantile. Negatives: as many windows that are active for a
   neighbour and quiet for the target, evenly from the neighbours.
3. The rest is detection: the same question to the judge, the same decision by the predicate, chance
   0.5.

Cost with a judge: 2 calls, as detection.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from ..judge.protocol import Unscorable
from ..score import Score
from .decisions import decision_scores, make_decisions
from .detection import activity_question
from .registry import ScoringTask, scorer
from .resources import ConfusableUnit, unscorable_without
from .windows import (
    MIN_ACTIVE_WINDOWS,
    ChosenWindows,
    Windows,
    by_quantile,
    cut_windows,
    mirrored_batches,
    quiet_windows,
)

NEIGHBOURS = 5


@scorer("discrimination")
def discrimination(task: ScoringTask) -> list[Score]:
    """Balanced accuracy over the unit's windows and its neighbours'."""
    if not task.resources.neighbours:
        raise unscorable_without(
            "neighbours: other units of the layer with their activations on the same text"
        )
    windows = cut_windows(task.sample, task.text)
    question = activity_question(
        windows, _choose_hard(windows, task.resources.neighbours[:NEIGHBOURS], task.seed)
    )
    return decision_scores("discrimination", task, question, make_decisions(task, question))


def _choose_hard(
    windows: Windows, neighbours: Sequence[ConfusableUnit], seed: int
) -> ChosenWindows:
    rng = np.random.default_rng([seed, 4])
    positive = rng.permutation(by_quantile(windows, rng))
    negative = _neighbour_windows(windows, neighbours, len(positive), rng)
    size = min(len(positive), len(negative)) // 2 * 2
    if size < MIN_ACTIVE_WINDOWS or windows.true.threshold <= 0:
        raise Unscorable(
            f"{len(positive)} active windows and {len(negative)} of neighbours; "
            f"needs {MIN_ACTIVE_WINDOWS} of each"
        )
    window = np.concatenate([positive[:size], negative[:size]])
    return ChosenWindows(window, np.arange(2 * size) < size, mirrored_batches(size, 50, rng))


def _neighbour_windows(
    windows: Windows, neighbours: Sequence[ConfusableUnit], count: int, rng: np.random.Generator
) -> Int[np.ndarray, " windows"]:
    """Windows active for a neighbour and quiet for the target, from each neighbour in turn."""
    quiet = quiet_windows(windows)
    queues = []
    for neighbour in neighbours:
        active = np.flatnonzero(windows.activity_of(neighbour.signal).active)
        queues.append(rng.permutation(np.intersect1d(quiet, active)).tolist())
    negatives: dict[int, None] = {}  # a set that keeps its order
    while len(negatives) < count and any(queues):
        for queue in queues:
            if queue:
                negatives.setdefault(queue.pop())
    return np.array(list(negatives)[:count], dtype=np.int64)
