"""Estimates held against exact patching: the top of the ranking, and a random sample of the rest.

The top says what may be claimed, the sample how far the ranking may be believed; the two are calibrated apart, as the
top is selected by the very estimates under test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .attribution import Attribution
from .graph import Edge
from .sweep import Sweep


@dataclass(frozen=True, eq=False)
class Verified:
    """Edges with estimated and exact effects, means over the pairs; the first `k` are the top of the ranking."""

    edges: tuple[Edge, ...]
    estimated: Float[np.ndarray, " edges"]
    exact: Float[np.ndarray, " edges"]
    k: int


def verify_edges(sweep: Sweep, attribution: Attribution, k: int = 20, n_random: int = 20, seed: int = 0) -> Verified:
    """Measure the k edges of largest |estimate| and `n_random` of the others; fewer where the model has fewer."""
    graph = sweep.model.graph
    possible = graph.edges_of(graph.possible)
    scores = attribution.edge_scores()[graph.possible].cpu().double().numpy()
    order = np.argsort(-np.abs(scores), kind="stable")
    rest = order[k:]
    drawn = np.random.default_rng(seed).choice(rest, min(n_random, len(rest)), replace=False)
    chosen: Sequence[int] = [*order[:k].tolist(), *drawn.tolist()]
    edges = tuple(possible[index] for index in chosen)
    exact = sweep.edges(edges).mean(1).cpu().double().numpy()
    return Verified(edges, scores[list(chosen)], exact, min(k, len(possible)))
