"""Nodes and edges of a pre-norm transformer, with grouped-query attention as it is.

A source writes to the residual stream: the embeddings ("input"), every head and every MLP. A target
reads from it: each head's query, each key-value head's key and value, every MLP, and the logits. An
edge goes from a source to a target that comes after it.

    input->head.0.3<q>      head.5.3->head.8.1<k>      mlp.2->mlp.7<mlp>      head.23.3->logits<logits>
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, cast

import torch
from jaxtyping import Bool
from torch import Tensor

from ..errors import UsageError

Mask = Bool[Tensor, "source target"]
"""A set of edges: a circuit."""
NodeKind = Literal["input", "head", "mlp", "logits"]
Input = Literal["q", "k", "v", "mlp", "logits"]

_NODE = re.compile(r"(?P<kind>input|logits)|head\.(?P<layer>\d+)\.(?P<head>\d+)|mlp\.(?P<at>\d+)")
_EDGE = re.compile(r"(?P<source>[\w.]+)->(?P<target>[\w.]+)<(?P<input>q|k|v|mlp|logits)>")


class Node(NamedTuple):
    """A component: the embeddings, a head, a layer's MLP or the logits; -1 means no layer."""

    kind: NodeKind
    layer: int = -1
    head: int = 0

    def __str__(self) -> str:
        if self.kind == "head":
            return f"head.{self.layer}.{self.head}"
        return f"mlp.{self.layer}" if self.kind == "mlp" else self.kind

    @classmethod
    def parse(cls, text: str) -> Node:
        """The inverse of `str`; raises UsageError."""
        match = _NODE.fullmatch(text)
        if match is None:
            raise UsageError(f"{text!r} is not a node; valid are input, head.5.3, mlp.7, logits")
        if match["kind"]:
            return cls(cast(NodeKind, match["kind"]))
        if match["layer"]:
            return cls("head", int(match["layer"]), int(match["head"]))
        return cls("mlp", int(match["at"]))


class Target(NamedTuple):
    """A reader of the residual stream; for inputs k and v, the node's head is a key-value head."""

    node: Node
    input: Input


class Edge(NamedTuple):
    """A source's write as read by one target; for inputs k and v, its head is a key-value head."""

    source: Node
    target: Node
    input: Input

    def __str__(self) -> str:
        return f"{self.source}->{self.target}<{self.input}>"

    @classmethod
    def parse(cls, text: str) -> Edge:
        """The inverse of `str`; raises UsageError."""
        match = _EDGE.fullmatch(text)
        if match is None:
            raise UsageError(
                f"{text!r} is not an edge; write e.g. head.5.3->head.8.1<k> or mlp.2->logits<logits>"
            )
        return cls(
            Node.parse(match["source"]), Node.parse(match["target"]), cast(Input, match["input"])
        )


@dataclass(frozen=True)
class Graph:
    """All nodes and edges of a model.

    Attributes:
        n_kv_heads: key-value heads of a layer; fewer than heads under grouped-query attention.
        parallel: whether attention and MLP of a layer read the same stream (GPT-NeoX), so that no
            edge joins them.
    """

    n_layers: int
    n_heads: int
    n_kv_heads: int
    parallel: bool = False

    @cached_property
    def sources(self) -> tuple[Node, ...]:
        """All sources in the order of computation: input, then each layer's heads and MLP."""
        nodes = [Node("input")]
        for layer in range(self.n_layers):
            nodes += [Node("head", layer, head) for head in range(self.n_heads)]
            nodes.append(Node("mlp", layer))
        return tuple(nodes)

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """Each layer's queries, keys, values and MLP, then the logits."""
        targets: list[Target] = []
        for layer in range(self.n_layers):
            targets += [Target(Node("head", layer, head), "q") for head in range(self.n_heads)]
            targets += [Target(Node("head", layer, head), "k") for head in range(self.n_kv_heads)]
            targets += [Target(Node("head", layer, head), "v") for head in range(self.n_kv_heads)]
            targets.append(Target(Node("mlp", layer), "mlp"))
        return (*targets, Target(Node("logits"), "logits"))

    @property
    def heads_per_kv(self) -> int:
        """Query heads that share a key-value head."""
        return self.n_heads // self.n_kv_heads

    def first_target(self, layer: int) -> int:
        """Index of a layer's first target; `n_layers` gives the logits."""
        return layer * (self.n_heads + 2 * self.n_kv_heads + 1)

    def attention_targets(self, layer: int) -> slice:
        """A layer's queries, keys and values among the targets."""
        return slice(self.first_target(layer), self.first_target(layer + 1) - 1)

    def mlp_target(self, layer: int) -> slice:
        """A layer's MLP among the targets."""
        after = self.first_target(layer + 1)
        return slice(after - 1, after)

    @property
    def logits_target(self) -> slice:
        """The logits among the targets."""
        last = self.first_target(self.n_layers)
        return slice(last, last + 1)

    def head_sources(self, layer: int) -> slice:
        """A layer's heads among the sources."""
        first = 1 + layer * (self.n_heads + 1)
        return slice(first, first + self.n_heads)

    def mlp_source(self, layer: int) -> slice:
        """A layer's MLP among the sources."""
        index = (layer + 1) * (self.n_heads + 1)
        return slice(index, index + 1)

    def n_sources_before(self, target: Target) -> int:
        """Number of sources that a target can read, counted from the first."""
        if target.input == "logits":
            return len(self.sources)
        heads = self.head_sources(target.node.layer)
        # An MLP reads its own layer's heads, unless both run side by side.
        return heads.stop if target.input == "mlp" and not self.parallel else heads.start

    @cached_property
    def all_edges(self) -> Bool[Tensor, "source target"]:
        """Which source reaches which target."""
        counts = torch.tensor([self.n_sources_before(target) for target in self.targets])
        return torch.arange(len(self.sources))[:, None] < counts[None]

    @cached_property
    def n_edges(self) -> int:
        """Number of edges."""
        return int(self.all_edges.sum())

    def edges_of(self, mask: Bool[Tensor, "source target"]) -> list[Edge]:
        """The edges of a mask, by name, in the order of sources."""
        return [
            Edge(self.sources[source], *self.targets[target])
            for source, target in (mask & self.all_edges).nonzero().tolist()
        ]

    def mask_of(self, edges: Iterable[Edge]) -> Bool[Tensor, "source target"]:
        """The mask of these edges; raises UsageError for an edge that the model lacks."""
        mask = torch.zeros_like(self.all_edges)
        for edge in edges:
            mask[self.place_of(edge)] = True
        return mask

    def place_of(self, edge: Edge) -> tuple[int, int]:
        """Source and target of an edge, in a mask; raises UsageError for one that the model lacks."""
        source = self._source_index.get(edge.source, -1)
        target = self._target_index.get(Target(edge.target, edge.input), -1)
        if min(source, target) < 0 or source >= self.n_sources_before(self.targets[target]):
            raise UsageError(
                f"{str(edge)!r}: no such edge; the model has {self.n_layers} layers of "
                f"{self.n_heads} heads and {self.n_kv_heads} key-value heads, and edges run forward"
            )
        return source, target

    @cached_property
    def _source_index(self) -> dict[Node, int]:
        return {node: index for index, node in enumerate(self.sources)}

    @cached_property
    def _target_index(self) -> dict[Target, int]:
        return {target: index for index, target in enumerate(self.targets)}
