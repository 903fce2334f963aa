"""Is it the circuit? Evidence against a faithful circuit from runs of other circuits.

- minimality: how far f falls without each edge.
- stability: overlap of circuits from resampled prompts, that is, whether others would have found the
  same one.
- rivals: circuits of the same size in whose ranking the first one's edges count little, and whether
  they are as faithful.

f is any function from a mask to its faithfulness (`discovery.faithfulness_of`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .discovery import top_edges
from .graph import Edge, Graph, Mask
from .opposing_weight import weight_opposing

Faithfulness = Callable[[Mask], float]


def minimality(f: Faithfulness, graph: Graph, mask: Mask, edges: Sequence[Edge]) -> list[float]:
    """How far f of the circuit falls without each of these edges of it; negative: f rises."""
    whole = f(mask)
    return [whole - f(rest) for rest in circuits_without(graph, mask, edges)]


def circuits_without(graph: Graph, mask: Mask, edges: Sequence[Edge]) -> list[Mask]:
    """A circuit without each of these edges."""
    return [mask & ~graph.mask_of([edge]) for edge in edges]


def resampled_circuits(
    graph: Graph,
    scores: Float[Tensor, "pairs source target"],
    n: int,
    *,
    prompts: int,
    draws: int,
    weight: float = 1.0,
    seed: int = 0,
) -> list[Mask]:
    """Circuits of n edges, each from prompts drawn with replacement, whose scores are reused.

    Args:
        weight: of opposing edges, as in `opposing_weight`.
    """
    rng = np.random.default_rng([seed, prompts])
    circuits: list[Mask] = []
    for _ in range(draws):
        drawn = rng.integers(0, len(scores), prompts).tolist()
        circuits.append(top_edges(graph, weight_opposing(scores[drawn].mean(0), weight), n))
    return circuits


def rival_circuit(
    graph: Graph, ranking: Float[Tensor, "source target"], mask: Mask, weight: float = 1e-6
) -> Mask:
    """The best circuit of the ranking in which the first one's edges count only `weight` times.

    They are not excluded: a circuit that may not use, say, the only strong edge into the logits is
    not a fair rival.
    """
    size = ranking.abs()
    return top_edges(graph, torch.where(mask.to(size.device), size * weight, size), int(mask.sum()))


def shared_edges(circuit: Mask, first: Mask) -> float:
    """The share of a circuit's edges that the first one has too."""
    return int((circuit & first).sum()) / int(circuit.sum())
