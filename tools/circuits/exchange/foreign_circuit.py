"""A circuit as a file names it, and how it fits a subject's graph.

1. A file lists edges by name. Its keys and values may be counted by query head (EAP-IG, MIB) or, as
   hubel counts them, by key-value head.
2. Under grouped-query attention several edges by query head are then one edge here. Its effect is
   their sum, which is right to first order: patching a key-value head changes what all its query
   heads read. It is in the circuit if one of them is.
3. In the other direction an effect is shared out evenly, in parts whose sum is that very number.
4. Scores of EAP-IG and weights of attribution graphs are positive for what works for the answer. The
   effects here are changes of the metric when the edge is patched, so the sign is turned.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import UsageError
from ..graph import Edge, Graph, Mask, Node

Format = Literal["eap-ig", "graph"]
KeysOf = Literal["query-heads", "key-value-heads"]


class ListedEdge(NamedTuple):
    """What a file says of an edge; `effect` is None where it gives no score."""

    effect: float | None
    in_circuit: bool


class ModelShape(NamedTuple):
    """The model that a file is of; None where it does not say."""

    n_layers: int
    n_heads: int
    parallel: bool
    d_model: int | None = None


@dataclass(frozen=True)
class ForeignCircuit:
    """The edges of a file, by name.

    Attributes:
        edges: for inputs k and v, the target's head is counted as `keys_of` says.
        task, subject: as the file names them; "" where it does not.
        notes: what the file has that hubel does not keep, in one line per kind of thing.
    """

    format: Format
    shape: ModelShape
    keys_of: KeysOf
    edges: Mapping[Edge, ListedEdge]
    task: str = ""
    subject: str = ""
    notes: tuple[str, ...] = ()

    @property
    def n_inside(self) -> int:
        """Listed edges that the file marks as the circuit's."""
        return sum(listed.in_circuit for listed in self.edges.values())


@dataclass(frozen=True, eq=False)
class FittedCircuit:
    """A circuit on a subject's graph.

    Attributes:
        effects: change of the metric when an edge is patched from its twin; nan where unknown.
    """

    graph: Graph
    effects: Float[Tensor, "source target"]
    mask: Mask
    notes: tuple[str, ...] = ()

    @property
    def scores(self) -> Float[Tensor, "source target"]:
        """The effects with 0 where none is known, as rankings take them."""
        return self.effects.nan_to_num(nan=0.0)

    @property
    def n_scored(self) -> int:
        """Edges with an effect."""
        return int((~self.effects.isnan() & self.graph.all_edges).sum())


def fit(circuit: ForeignCircuit, graph: Graph, d_model: int | None, subject: str) -> FittedCircuit:
    """The circuit on a subject's graph.

    Args:
        d_model: the subject's width; None if that is not known here.
        subject: its name, for messages.

    Raises:
        UsageError: the file is of a model of another shape, or names an edge that the subject does not have.
    """
    _check_shape(circuit.shape, graph, d_model, subject)
    grouped = circuit.keys_of == "query-heads" and graph.heads_per_kv > 1
    parts: dict[Edge, list[ListedEdge]] = defaultdict(list)
    for edge, listed in circuit.edges.items():
        parts[_by_key_value_head(edge, graph) if grouped else edge].append(listed)
    effects = torch.full(graph.all_edges.shape, math.nan, dtype=torch.float64)
    mask = torch.zeros_like(graph.all_edges)
    n_split = 0
    for edge, listed in parts.items():
        place = graph.place_of(edge)
        scores = [one.effect for one in listed if one.effect is not None]
        if scores:
            effects[place] = math.fsum(scores)
        inside = [one.in_circuit for one in listed]
        mask[place] = any(inside)
        n_split += any(inside) and not all(inside)
    return FittedCircuit(graph, effects, mask, _notes_on_groups(graph, grouped, n_split))


def _notes_on_groups(graph: Graph, grouped: bool, n_split: int) -> tuple[str, ...]:
    notes: list[str] = []
    if grouped:
        notes.append(
            f"keys and values are taken as counted by query head; {graph.heads_per_kv} of them share "
            "a key-value head here: their scores are added up, and its edge is in if one of theirs is"
        )
    if n_split:
        notes.append(
            f"{n_split} edges into a key-value head are in the file's circuit for some of its query "
            "heads only; here they are in for all"
        )
    return tuple(notes)


def _check_shape(shape: ModelShape, graph: Graph, d_model: int | None, subject: str) -> None:
    own = ModelShape(graph.n_layers, graph.n_heads, graph.parallel, d_model)
    same_width = None in (shape.d_model, d_model) or shape.d_model == d_model
    if shape[:3] == own[:3] and same_width:
        return
    raise UsageError(
        f"the file's circuit is of a model with {_in_words(shape)}; {subject} has {_in_words(own)}: "
        "give --subject the model that the circuit was found in"
    )


def _in_words(shape: ModelShape) -> str:
    width = f", width {shape.d_model}" if shape.d_model else ""
    parallel = ", attention and MLP side by side" if shape.parallel else ""
    return f"{shape.n_layers} layers of {shape.n_heads} heads{width}{parallel}"


def _by_key_value_head(edge: Edge, graph: Graph) -> Edge:
    if edge.input not in ("k", "v"):
        return edge
    head = edge.target.head // graph.heads_per_kv
    return edge._replace(target=edge.target._replace(head=head))


def by_query_heads(
    edge: Edge, effect: float | None, graph: Graph
) -> list[tuple[Edge, float | None]]:
    """An edge as the edges by query head that represent it, with its effect shared out."""
    n = graph.heads_per_kv
    if edge.input not in ("k", "v") or n == 1:
        return [(edge, effect)]
    first = edge.target.head * n
    heads = [edge._replace(target=Node("head", edge.target.layer, first + i)) for i in range(n)]
    return list(zip(heads, share_out(effect, n), strict=True))


def share_out(effect: float | None, n: int) -> Sequence[float | None]:
    """n nearly equal parts whose exact sum rounds to the effect itself."""
    if effect is None:
        return [None] * n
    part = effect / n
    # The last part is rounded once: the sum of the others, rounded first, could be off by a whole digit.
    return [*[part] * (n - 1), math.fsum([effect, *[-part] * (n - 1)])]


def only_ranks(circuit: ForeignCircuit) -> bool:
    """Whether a file marks none of the model's edges or all of them, so that it chooses no circuit."""
    if circuit.format == "graph":  # lists the circuit's edges and no others
        return False
    return circuit.n_inside in (0, len(circuit.edges))
