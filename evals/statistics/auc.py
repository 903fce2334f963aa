"""Area under the ROC curve of scores that come in groups, with its interval.

1. The area is the share of pairs, one row of each class, in which the row of the second class has the
   higher score; equal scores count half. 0.5 is chance.
2. Pairs are counted by the groups of their two rows, wins[g, h]. If groups are drawn c times, a pair
   counts c_g c_h times: the area of a resample is two products with the counts (`bootstrap`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from ...tools.errors import UsageError
from .bootstrap import LEVEL, Interval, ends_of_draws, resample_counts
from .grouped import LEAST_GROUPS


def auc_over_groups(
    scores: Float[np.ndarray, " row"],
    classes: Int[np.ndarray, " row"],
    groups: Sequence[object] | np.ndarray,
    *,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """The area with its interval; no ends where a class is in fewer than `LEAST_GROUPS` groups.

    Args:
        classes: 0, or 1 for the class that should score higher.

    Raises:
        UsageError: one class only.
    """
    group = np.unique(np.asarray(groups), return_inverse=True)[1]
    member = np.eye(int(group.max()) + 1)[group]
    is_second = classes == 1
    if is_second.all() or not is_second.any():
        raise UsageError(f"all {len(classes)} rows are of one class; an area needs two")
    higher = np.sign(scores[is_second][:, None] - scores[~is_second][None])
    wins = member[is_second].T @ (0.5 + 0.5 * higher) @ member[~is_second]
    sizes = np.stack([member[is_second].sum(axis=0), member[~is_second].sum(axis=0)])
    value = float(wins.sum() / sizes.sum(axis=1).prod())

    def area(counts: Float[np.ndarray, "draw group"]) -> Float[np.ndarray, " draw"]:
        pairs = (counts @ sizes[0]) * (counts @ sizes[1])
        won = ((counts @ wins) * counts).sum(axis=1)
        # a draw without one of the classes says nothing: it is given the area of all
        return np.where(pairs > 0, won / np.where(pairs > 0, pairs, 1), value)

    n_groups = len(wins)
    if (sizes > 0).sum(axis=1).min() < LEAST_GROUPS:
        return Interval(value, None, None)
    draws = area(resample_counts(n_groups, seed))
    return ends_of_draws(value, draws, area(1 - np.eye(n_groups)), "expanded", level)
