"""Signed balance: how much edges that work against the answer count beside those that work for it.

A ranking by |score| takes an edge that opposes the answer for as good as one of the same size that
helps it. In a small circuit it is not: the opponents are in, and much of what they oppose is not,
so that the circuit falls short of the model, and the ranking by helping edges alone overshoots it
by far. Where an opposing edge counts `weight` times a helping one, f falls as the weight rises, and
one scalar search finds the circuit that does just what the model does:

1. Take the circuit at weight 1. Where f is below 1, halve the weight until f is above, where it is
   above 1, double it.
2. Between the last two weights go where a straight line over log weight has f = 1, and again from
   the nearer two.

The search sees discovery prompts; the weight found for one size serves the other sizes too.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

REACH = 4
"""Halvings or doublings: an opposing edge counts from 1/16 to 16 times a helping one."""
BETWEEN = 3
"""Weights tried between two of which one falls short and the other overshoots."""
NEAR = 0.005
"""Of f to 1 from which on nothing is gained by going on: a tenth of what prompts make it scatter."""


def weight_opposing(
    scores: Float[Tensor, "source target"], weight: float
) -> Float[Tensor, "source target"]:
    """Scores in which opposing edges, whose patch raises the metric, count `weight` times."""
    return torch.where(scores > 0, scores * weight, scores)


def has_both_signs(scores: Float[Tensor, "source target"]) -> bool:
    """Whether some edges help and others oppose; a method that gives sizes alone has nothing to balance."""
    return bool((scores > 0).any() and (scores < 0).any())


def search_weight(f: Callable[[float], float]) -> list[float]:
    """The weights tried on the way to f = 1, the first of which is 1; f is asked for each once."""
    found = {0.0: f(1.0)}  # by log2 of the weight
    short = found[0.0] < 1
    step, near, far = -1 if short else 1, 0.0, 0.0
    while (found[far] < 1) == short and abs(far) < REACH:
        near, far = far, far + step
        found[far] = f(2.0**far)
    for _ in range(BETWEEN):
        if (found[far] < 1) == short or min(abs(1 - value) for value in found.values()) < NEAR:
            break
        at = near + (far - near) * (1 - found[near]) / (found[far] - found[near])
        found[at] = f(2.0**at)
        near, far = (at, far) if (found[at] < 1) == short else (near, at)
    return [2.0**at for at in found]
