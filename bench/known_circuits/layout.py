"""Where a program's operations go: layers, head slots and coordinates of the stream; and which
edges that makes true.

An operation goes into the first layer in which all that it reads has been written. The true edges
follow from who writes a variable and who reads it: an edge is in the circuit when at least one
variable on it is not fixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ...tools.circuits.graph import Edge, Input, Node
from ...tools.errors import UsageError
from .program import Attend, NamedSubspace, Operation, Program, Steps

LEAST_LAYERS, LEAST_HEADS = 2, 4
"""Of every model: what the program does not need stays silent, or is for distractors."""


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
        every = [
            Node("head", layer, head)
            for layer in range(self.n_layers)
            for head in range(self.n_heads)
        ]
        return [node for node in every if node not in taken]

    def true_edges(self) -> set[Edge]:
        """The edges on which something that differs between prompts is read."""
        found = {
            Edge(self.written_by[variable], node, given)
            for operation, node in self.nodes.items()
            for variable, given in _reads(operation)
            if not variable.fixed
        }
        result = self.program.result
        if result is None:
            raise UsageError(
                f"program {self.program.name!r} says nothing; end it with says(VARIABLE)"
            )
        return found | {Edge(self.written_by[result], Node("logits"), "logits")}


def place(program: Program, extra_heads: int, rng: np.random.Generator) -> Placement:
    """Lay a program out, with room for so many further heads in all; slots of a layer are shuffled."""
    level: dict[NamedSubspace, int] = dict.fromkeys(program.inputs, 0)
    layers: dict[Operation, int] = {}
    for operation in program.operations:
        ready = max(level[variable] for variable, _ in _reads(operation))
        layer = (ready + 1) // 2 if isinstance(operation, Attend) else ready // 2
        layers[operation] = layer
        level[operation.out] = 2 * layer + (1 if isinstance(operation, Attend) else 2)
    n_layers = max(LEAST_LAYERS, max(layers.values()) + 1)
    heads = [
        [o for o, at in layers.items() if at == layer and isinstance(o, Attend)]
        for layer in range(n_layers)
    ]
    used = sum(len(some) for some in heads)
    n_heads = max(
        [LEAST_HEADS, *(len(some) for some in heads), -(-(used + extra_heads) // n_layers)]
    )
    nodes: dict[Operation, Node] = {}
    for layer, some in enumerate(heads):
        slots = rng.permutation(n_heads)[: len(some)].tolist()
        nodes |= {
            operation: Node("head", layer, slot)
            for operation, slot in zip(some, slots, strict=True)
        }
    nodes |= {
        operation: Node("mlp", at)
        for operation, at in layers.items()
        if isinstance(operation, Steps)
    }
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
