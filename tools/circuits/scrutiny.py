"""Is it the circuit? What an ablation run can say against a circuit that is faithful.

- completeness: f of the model without the circuit; near 0 when nothing outside can do the work.
- minimality: how far f falls without each edge.
- stability: circuits of resampled prompts; their overlap tells whether others would have found the same.
- rival: a circuit from what is left when the circuit's edges are taken out of the ranking, kept if as faithful.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .ablation import Ablation
from .discovery import faithfulness_of, top_edges
from .graph import Edge, Graph
from .prompts import PromptPairs
from .wiring import CircuitModel

Mask = Bool[Tensor, "source target"]


def completeness(model: CircuitModel, pairs: PromptPairs, mask: Mask, ablation: Ablation = "resample") -> float:
    """f of all edges but the circuit's."""
    return faithfulness_of(model, pairs, ablation)(model.graph.possible & ~mask)


def minimality(
    model: CircuitModel, pairs: PromptPairs, mask: Mask, edges: Sequence[Edge], ablation: Ablation = "resample"
) -> list[float]:
    """How far f of the circuit falls without each of these edges of it; negative: the edge works against it."""
    f = faithfulness_of(model, pairs, ablation)
    whole = f(mask)
    return [whole - f(mask & ~model.graph.mask_of([edge])) for edge in edges]


def resampled_circuits(
    graph: Graph, scores: Float[Tensor, "pairs source target"], n: int, draws: int = 20, seed: int = 0
) -> list[Mask]:
    """Circuits of n edges from prompts drawn with replacement; the scores of single pairs are reused."""
    rng = np.random.default_rng(seed)
    picks = [rng.integers(0, len(scores), len(scores)).tolist() for _ in range(draws)]
    return [top_edges(graph, scores[pick].mean(0), n) for pick in picks]


class Rival(NamedTuple):
    """Another circuit of the same size; `shared` is the share of its edges that the first has too."""

    mask: Mask
    f: float
    shared: float


def rival(
    model: CircuitModel,
    pairs: PromptPairs,
    scores: Float[Tensor, "source target"],
    mask: Mask,
    ablation: Ablation = "resample",
) -> Rival:
    """The best circuit that the ranking gives when the first one's edges come last.

    Its edges stay possible, since a circuit that may not use, say, the one edge into the logits is no fair rival; they
    are ranked behind all others.
    """
    other = ranked_behind(model.graph, scores, mask, 1e-6)
    return Rival(other, faithfulness_of(model, pairs, ablation)(other), shared(other, mask))


def ranked_behind(graph: Graph, scores: Float[Tensor, "source target"], mask: Mask, weight: float) -> Mask:
    """A circuit of the same size from scores in which the first one's edges count `weight` times what they did."""
    size = scores.abs()
    return top_edges(graph, torch.where(mask.to(size.device), size * weight, size), int(mask.sum()))


def shared(other: Mask, mask: Mask) -> float:
    """Share of a circuit's edges that another has too."""
    return int((other & mask).sum()) / int(other.sum())
