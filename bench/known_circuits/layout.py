"""Lay out a program's operations: layers, head slots and coordinates of the stream; and the true
edges that follow.

An operation goes into the first layer in which everything it reads has been written. The true edges
follow from which node writes a variable and which nodes read it: an edge is in the circuit if at
least one variable on it is not fixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from ...tools.circuits.graph import Edge, Input, Node
from ...tools.errors import UsageError
from .program import Attend, NamedSubspace, Operation, Program, Steps

MIN_LAYERS, MIN_HEADS = 2, 4
"""Of every model; what the program does not need stays silent, or is used by distractors."""


@dataclass(frozen=True, eq=False)
class Placement:
    """A program laid out.

    Attributes:
        nodes: which node does each operation; all steps of a layer are its MLP.
        written_by: the node that writes each variable.
        n_layers, n_heads: of the model; `head_dim`: large enough for every table and value.
    """

    program: Program
    nodes: dict[Operation, Node]
    written_by: dict[NamedSubspace, Node]
    n_layers: int
    n_heads: int
    head_dim: int

    @property
    def free(self) -> list[Node]:
        """Head slots without an operation, in order."""
        taken = set(self.nodes.values())
        slots = product(range(self.n_layers), range(self.n_heads))
        heads = [Node("head", layer, head) for layer, head in slots]
        return [node for node in heads if node not in taken]

    def true_edges(self) -> set[Edge]:
        """The edges that carry a variable which differs between prompts."""
        edges = {
            Edge(self.written_by[variable], node, input_)
            for operation, node in self.nodes.items()
            for variable, input_ in _reads(operation)
            if not variable.fixed
        }
        result = self.program.result
        if result is None:
            raise UsageError(
                f"program {self.program.name!r} has no answer; end it with says(VARIABLE)"
            )
        return edges | {Edge(self.written_by[result], Node("logits"), "logits")}


def place(program: Program, extra_heads: int, rng: np.random.Generator) -> Placement:
    """Lay out a program, with slots for `extra_heads` more heads; slots of a layer are shuffled."""
    # 1. the layer of each operation; levels count half layers, attention before the MLP
    level: dict[NamedSubspace, int] = dict.fromkeys(program.inputs, 0)
    layers: dict[Operation, int] = {}
    for operation in program.operations:
        ready = max(level[variable] for variable, _ in _reads(operation))
        layer = (ready + 1) // 2 if isinstance(operation, Attend) else ready // 2
        layers[operation] = layer
        level[operation.out] = 2 * layer + (1 if isinstance(operation, Attend) else 2)
    n_layers = max(MIN_LAYERS, max(layers.values()) + 1)

    # 2. the head slots
    heads: list[list[Operation]] = [[] for _ in range(n_layers)]
    for operation, layer in layers.items():
        if isinstance(operation, Attend):
            heads[layer].append(operation)
    sizes = [len(in_layer) for in_layer in heads]
    needed = -(-(sum(sizes) + extra_heads) // n_layers)  # per layer, rounded up
    n_heads = max(MIN_HEADS, needed, *sizes)

    # 3. the node of each operation
    nodes: dict[Operation, Node] = {}
    for layer, in_layer in enumerate(heads):
        slots = rng.permutation(n_heads)[: len(in_layer)].tolist()
        for operation, slot in zip(in_layer, slots, strict=True):
            nodes[operation] = Node("head", layer, slot)
    for operation, layer in layers.items():
        if isinstance(operation, Steps):
            nodes[operation] = Node("mlp", layer)
    written = {variable: Node("input") for variable in program.inputs}
    written |= {operation.out: nodes[operation] for operation in program.operations}
    return Placement(program, nodes, written, n_layers, n_heads, _head_dim(program))


def _reads(operation: Operation) -> list[tuple[NamedSubspace, Input]]:
    if isinstance(operation, Steps):
        return [(variable, "mlp") for variable in operation.inputs]
    reads: list[tuple[NamedSubspace, Input]] = [(operation.value, "v")]
    for term in operation.terms:
        reads.append((term.query, "q"))
        reads.append((term.key, "k"))
    return reads


def _head_dim(program: Program) -> int:
    heads = [operation for operation in program.operations if isinstance(operation, Attend)]
    return max([8, *(max(sum(t.key.size for t in head.terms), head.value.size) for head in heads)])


def coordinates(variables: list[NamedSubspace], first: int = 0) -> dict[NamedSubspace, slice]:
    """Adjacent coordinates for each variable, from `first` on."""
    bounds = np.cumsum([first, *(variable.size for variable in variables)]).tolist()
    return {
        variable: slice(*ends) for variable, ends in zip(variables, pairwise(bounds), strict=True)
    }
