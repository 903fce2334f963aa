"""Faithfulness of circuits of latents: a ratio of sums over prompts, with its interval.

f = (m(circuit) - m(nothing)) / (m(subject) - m(nothing))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...evals.statistics.bootstrap import LEVEL, Interval, bootstrap

if TYPE_CHECKING:
    from jaxtyping import Float

    from ..measurements import Measured


class SizedRun(NamedTuple):
    """A circuit of so many latents, and each discovery prompt's metric in its runs.

    The first one, of no latents, also has the runs `whole` and `nothing`.
    """

    size: int
    metrics: Measured


def ratio(
    above: Float[np.ndarray, " prompts"],
    below: Float[np.ndarray, " prompts"] | float = 1.0,
    level: float = LEVEL,
) -> Interval:
    """Sum of one thing over the sum of another, with its interval over prompts.

    Args:
        below: 1 for the mean.
    """
    sums = np.stack([above, np.broadcast_to(below, above.shape)], axis=1).astype(np.float64)

    def divided(totals: np.ndarray) -> np.ndarray:
        return totals[..., 0] / np.where(totals[..., 1] == 0, 1.0, totals[..., 1])

    return bootstrap(sums, divided, level=level)


def f_of(ends: Measured, metric: Float[np.ndarray, " prompts"]) -> Interval:
    """Faithfulness with its 95 % interval over prompts.

    Args:
        ends: the metric with every node (`whole`) and with none (`nothing`).
    """
    return ratio(metric - ends["nothing"], ends["whole"] - ends["nothing"])


def smallest(sizes: Sequence[SizedRun], minimum: float) -> int:
    """The fewest latents, at least 1, with which f reaches a minimum; all if it never does."""
    ends = sizes[0].metrics
    reached = [
        size for size, metrics in sizes if size and f_of(ends, metrics["circuit"]).value >= minimum
    ]
    return min(reached, default=sizes[-1].size)
