"""Signed balance: how much edges that work against the answer count, relative to those that work for
it.

A ranking by |score| treats an edge that opposes the answer like one of the same size that helps it.
In a small circuit they are not equal: the opponents are in, but much of what they oppose is not, so
the circuit falls short of the model, while a ranking by helping edges alone overshoots it by far.
If an opposing edge counts `weight` times a helping one, f falls as the weight rises, and one scalar
search finds the circuit that does just what the model does:

1. Take the circuit at weight 1. If f is below 1, halve the weight until f is above; if it is above
   1, double it.
2. Between the last two weights take the one at which a straight line over log weight has f = 1, and
   repeat with the two weights around 1.

The search sees discovery prompts; the weight found for one size is used for other sizes too.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

REACH = 4
"""Halvings or doublings at most: an opposing edge counts from 1/16 to 16 times a helping one."""
BETWEEN = 3
"""Weights tried between one that falls short and one that overshoots."""
NEAR = 0.005
"""Distance of f from 1 at which the search stops: a tenth of its scatter over prompts."""


def weight_opposing(
    scores: Float[Tensor, "source target"], weight: float
) -> Float[Tensor, "source target"]:
    """Scores in which opposing edges, whose patch raises the metric, count `weight` times."""
    return torch.where(scores > 0, scores * weight, scores)


def has_both_signs(scores: Float[Tensor, "source target"]) -> bool:
    """Whether some edges help and others oppose; a method that gives sizes alone has nothing to balance."""
    return bool((scores > 0).any() and (scores < 0).any())


def search_weight(f: Callable[[float], float]) -> list[float]:
    """The weights tried on the way to f = 1, the first of which is 1; f is called once for each."""
    f_at = {0.0: f(1.0)}  # by log2 of the weight
    short = f_at[0.0] < 1
    # 1. Halve or double until f has crossed 1: `near` is on the side of weight 1, `far` beyond.
    step, near, far = -1 if short else 1, 0.0, 0.0
    while (f_at[far] < 1) == short and abs(far) < REACH:
        near, far = far, far + step
        f_at[far] = f(2.0**far)
    # 2. Regula falsi between the two.
    for _ in range(BETWEEN):
        crossed = (f_at[far] < 1) != short
        if not crossed or min(abs(1 - value) for value in f_at.values()) < NEAR:
            break
        middle = near + (far - near) * (1 - f_at[near]) / (f_at[far] - f_at[near])
        f_at[middle] = f(2.0**middle)
        near, far = (middle, far) if (f_at[middle] < 1) == short else (near, middle)
    return [2.0**log_weight for log_weight in f_at]
