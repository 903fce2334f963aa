"""Does an attribution name the tokens that matter? Deletion and insertion curves against random
orders.

1. Deletion: the prompt's tokens become the baseline's, the most credited first. Insertion: the
   baseline's become the prompt's, the most credited first. Only tokens that differ are moved.
2. The scalar on the way is scaled so that the baseline is 0 and the prompt 1; the area under it is
   by trapezoids over the share of tokens moved.
3. `gain`: how much better than the mean of random orders: random area - deletion area, insertion
   area - random area. 0 is chance.

Petsiuk et al. 2018 (RISE); Samek et al. 2017. Between two and four moved tokens there are few
orders, and little to gain: gains are for comparing methods over many prompts
(`evals.statistics.ability.mean_over_prompts`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int

from .result import TokenAttribution
from .target import AttributionTarget

STEPS = 8
"""Points of a curve at most: each costs a row of the subject for every order."""


@dataclass(frozen=True)
class Curves:
    """Areas of one prompt; `n_moved` tokens differ from the baseline.

    Attributes:
        deletion, insertion: the scaled scalar after each step, from no token moved to all.
        deletion_gain, insertion_gain: above random orders; positive is better than chance.
    """

    shares: tuple[float, ...]
    deletion: tuple[float, ...]
    insertion: tuple[float, ...]
    deletion_gain: float
    insertion_gain: float
    n_moved: int
    n_random: int


def curves(
    case: AttributionTarget, attribution: TokenAttribution, n_random: int = 8, seed: int = 0
) -> Curves | None:
    """Both curves; None where they say nothing: fewer than two tokens differ, or prompt and baseline score alike."""
    at = case.changeable.cpu().numpy()
    ends = case.values(torch.stack([case.baseline, case.embedding])).double().cpu().numpy()
    if len(at) < 2 or abs(ends[1] - ends[0]) < 1e-9:
        return None
    credit = attribution.scores[at] * np.sign(ends[1] - ends[0])
    best = at[np.argsort(-credit, kind="stable")]
    draws = np.random.default_rng(seed)
    orders = [best, *(draws.permutation(at) for _ in range(n_random))]
    counts = np.unique(np.linspace(0, len(at), min(STEPS, len(at)) + 1).round().astype(int))
    shares = counts / len(at)
    kept = np.concatenate(
        [_masks(order, counts, len(case.ids), deleting) for deleting in (1, 0) for order in orders]
    )
    values = case.values(case.mixed(torch.from_numpy(kept))).double().cpu().numpy()
    scaled = ((values - ends[0]) / (ends[1] - ends[0])).reshape(2, len(orders), len(counts))
    areas = np.trapezoid(scaled, shares, axis=-1)
    return Curves(
        tuple(shares.tolist()),
        tuple(scaled[0, 0].tolist()),
        tuple(scaled[1, 0].tolist()),
        float(areas[0, 1:].mean() - areas[0, 0]),
        float(areas[1, 0] - areas[1, 1:].mean()),
        len(at),
        n_random,
    )


def _masks(
    order: Int[np.ndarray, " moved"], counts: Int[np.ndarray, " points"], seq: int, deleting: int
) -> Bool[np.ndarray, "points seq"]:
    """Where the prompt is kept after so many tokens of the order have been moved."""
    kept = np.full((len(counts), seq), fill_value=bool(deleting))
    if not deleting:  # what does not differ is the same either way
        kept[:, order] = False
    for row, count in enumerate(counts):
        kept[row, order[:count]] = not deleting
    return kept
