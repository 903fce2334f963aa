"""Does an attribution name the tokens that matter? Deletion and insertion curves against random
orders.

1. Deletion: the prompt's tokens become the baseline's, the most credited first. Insertion: the
   baseline's become the prompt's, the most credited first. Only tokens that differ are moved.
2. The scalar on the way is scaled so that the baseline is 0 and the prompt 1. The area under it is
   computed by trapezoids over the share of tokens moved.
3. `gain`: how much better than the mean of random orders: random area - deletion area, insertion
   area - random area. 0 is chance.

Petsiuk et al. 2018 (RISE); Samek et al. 2017. With two to four moved tokens there are few orders
and little to gain: use gains to compare methods over many prompts
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
"""Points of a curve at most: each costs a row of the subject per order."""


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
    target: AttributionTarget, attribution: TokenAttribution, n_random: int = 8, seed: int = 0
) -> Curves | None:
    """Both curves; None if fewer than two tokens differ, or prompt and baseline have the same score."""
    changeable = target.changeable.cpu().numpy()
    ends = target.values(torch.stack([target.baseline, target.embedding])).double().cpu().numpy()
    span = ends[1] - ends[0]
    if len(changeable) < 2 or abs(span) < 1e-9:
        return None
    credit = attribution.scores[changeable] * np.sign(span)
    by_credit = changeable[np.argsort(-credit, kind="stable")]
    rng = np.random.default_rng(seed)
    orders = [by_credit, *(rng.permutation(changeable) for _ in range(n_random))]
    n_points = min(STEPS, len(changeable)) + 1
    counts = np.unique(np.linspace(0, len(changeable), n_points).round().astype(int))
    shares = counts / len(changeable)
    # 1. All orders of both directions in one batch: direction x order x point rows.
    masks = [
        _masks(order, counts, len(target.ids), deleting) for deleting in (1, 0) for order in orders
    ]
    mixed = target.mixed(torch.from_numpy(np.concatenate(masks)))
    values = target.values(mixed).double().cpu().numpy()
    # 2. and 3. The order by credit comes first, random ones follow.
    scaled = ((values - ends[0]) / span).reshape(2, len(orders), len(counts))
    deletion, insertion = np.trapezoid(scaled, shares, axis=-1)
    return Curves(
        tuple(shares.tolist()),
        tuple(scaled[0, 0].tolist()),
        tuple(scaled[1, 0].tolist()),
        float(deletion[1:].mean() - deletion[0]),
        float(insertion[0] - insertion[1:].mean()),
        len(changeable),
        n_random,
    )


def _masks(
    order: Int[np.ndarray, " moved"], counts: Int[np.ndarray, " points"], seq: int, deleting: int
) -> Bool[np.ndarray, "points seq"]:
    """Where the prompt is kept after moving so many tokens of the order."""
    kept = np.full((len(counts), seq), fill_value=bool(deleting))
    if not deleting:  # other tokens are the same in prompt and baseline
        kept[:, order] = False
    for row, count in enumerate(counts):
        kept[row, order[:count]] = not deleting
    return kept
