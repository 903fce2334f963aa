"""Distractors and noise around a program: heads and neurons without a purpose, and edges that carry a
little of what they should not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...tools.circuits.graph import Graph, Input, Node, Target
from .layout import Placement
from .weights import LOGIT, SHARPNESS, Weights

OWN = 3
"""Coordinates that a distractor writes."""
SOFTNESS = 2.0
"""Spread of a distractor head's scores: it attends to several positions."""


@dataclass(eq=False)
class Surroundings:
    """A placed program's weights, and which node writes which coordinates; grows with every distractor."""

    placement: Placement
    graph: Graph
    weights: Weights
    own: dict[Node, Int[np.ndarray, " coordinate"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        at, every = self.weights.coordinates, np.arange(self.weights.size)
        self.own[Node("input")] = every[at[self.placement.program.token]]
        for operation, node in self.placement.nodes.items():
            self._writes(node, every[at[operation.out]])

    def _writes(self, node: Node, more: Int[np.ndarray, " coordinate"]) -> None:
        self.own[node] = np.concatenate([self.own.get(node, more[:0]), more])

    def add(self, node: Node) -> Int[np.ndarray, " coordinate"]:
        """Give a node new coordinates to write."""
        span = self.weights.widen(OWN)
        more = np.arange(span.start, span.stop)
        self._writes(node, more)
        return more

    def before(self, target: Target) -> list[Node]:
        """Sources that write something and come before a target."""
        return [
            node
            for node in self.graph.sources[: self.graph.n_sources_before(target)]
            if node in self.own
        ]

    def reading(
        self, target: Target, n: int, rng: np.random.Generator
    ) -> Float[np.ndarray, "n stream"]:
        """n random readings of one earlier source."""
        sources = self.before(target)
        reads = self.own[sources[rng.integers(len(sources))]]
        rows = np.zeros((n, self.weights.size))
        rows[:, reads] = rng.standard_normal((n, len(reads))) / len(reads) ** 0.5
        return rows


def add_distractors(
    around: Surroundings, heads: int, neurons: int, rng: np.random.Generator
) -> None:
    """Put heads into free slots, and neurons into every layer."""
    free = around.placement.free
    chosen = sorted(rng.permutation(len(free))[:heads].tolist())
    by_layer: dict[int, list[Node]] = {}
    for index in chosen:
        by_layer.setdefault(free[index].layer, []).append(free[index])
    slots = around.weights.add_neurons(neurons)
    for layer in range(around.placement.n_layers):
        for node in by_layer.get(layer, []):
            _add_head(around, node, rng)
        if neurons:
            _add_neurons(around, layer, slots, rng)


def _add_head(around: Surroundings, node: Node, rng: np.random.Generator) -> None:
    weights, rows = around.weights, around.placement.head_dim
    sizes: dict[Input, int] = {"q": rows, "k": rows, "v": OWN}
    read = {part: around.reading(Target(node, part), n, rng) for part, n in sizes.items()}
    write = around.add(node)
    at = (node.layer, node.head)
    weights.q[at][:, : read["q"].shape[1]] = SOFTNESS / rows**0.5 * read["q"]
    weights.k[at][:, : read["k"].shape[1]] = read["k"]
    weights.v[at][:OWN, : read["v"].shape[1]] = read["v"]
    weights.o[at][write, np.arange(OWN)] = 1


def _add_neurons(around: Surroundings, layer: int, slots: slice, rng: np.random.Generator) -> None:
    node, n = Node("mlp", layer), slots.stop - slots.start
    read = np.concatenate([around.reading(Target(node, "mlp"), 1, rng) for _ in range(n)])
    write = around.add(node)
    weights = around.weights
    weights.step_in[layer, slots, : read.shape[1]] = 2 * read
    weights.step_bias[layer, slots] = rng.normal(0, 0.5, n)
    weights.step_out[layer, write, slots] = rng.standard_normal((OWN, n)) / n**0.5


def add_noise(
    around: Surroundings, share: float, loudness: float, rng: np.random.Generator
) -> Bool[Tensor, "source target"]:
    """Let a share of all edges carry a little of what their source writes.

    True edges and idle nodes are left out. Returns the edges with noise.
    """
    graph, truth = around.graph, around.graph.mask_of(around.placement.true_edges())
    alive = np.zeros(graph.all_edges.shape, dtype=bool)
    for index, target in enumerate(graph.targets):
        if target.node.kind != "head" or target.node in around.own:
            alive[[graph.sources.index(node) for node in around.before(target)], index] = True
    candidates = np.argwhere(alive & ~truth.numpy())
    n = min(round(share * graph.n_edges), len(candidates))
    mask = torch.zeros_like(graph.all_edges)
    for source, target in rng.permutation(candidates)[:n].tolist():
        mask[source, target] = True
        _read_a_little(around, graph.sources[source], graph.targets[target], loudness, rng)
    return mask


def _read_a_little(
    around: Surroundings, source: Node, target: Target, loudness: float, rng: np.random.Generator
) -> None:
    weights, reads, node = around.weights, around.own[source], target.node
    strength = loudness / len(reads) ** 0.5
    if target.input == "logits":
        answers = np.arange(around.placement.program.first_answer, len(weights.unembed))
        weights.unembed[np.ix_(answers, reads)] += (
            LOGIT * strength * rng.standard_normal((len(answers), len(reads)))
        )
    elif target.input == "mlp":
        weights.step_in[node.layer][:, reads] += strength * rng.standard_normal(
            (weights.step_in.shape[1], len(reads))
        )
    else:
        dull = (
            SHARPNESS if target.input == "k" else 1.0
        )  # queries are sharp already: scores change by about `loudness`
        matrix = getattr(weights, target.input)[node.layer, node.head]
        used = np.flatnonzero(matrix.any(axis=1))
        matrix[np.ix_(used, reads)] += (
            strength / dull * rng.standard_normal((len(used), len(reads)))
        )
