"""Circuits as attribution graphs in JSON: what circuit-tracer writes and Neuronpedia's page draws.

1. Writing. A node is a head, an MLP, the input or the logits, under hubel's own name (`head.5.3`)
   and with its role as label; a link is an edge of the circuit. What the schema has no place for, a
   link's input (q, k or v) and the shape of the model, is in properties of our own, which it allows.
2. A circuit here has no positions, so all nodes are at the last one.
3. Reading. A graph of such nodes is a circuit again. A graph of latents (`{layer}_{feature}_{pos}`)
   is read as an `AttributionGraph`: it can be shown and written again, with every property it has.

`graph_schema` says what a file must have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...errors import UsageError
from ..graph import Edge, Node
from .foreign_circuit import FittedCircuit, ForeignCircuit, ListedEdge, ModelShape
from .graph_schema import schema_fault
from .json_file import a_flag, a_number, a_size, an_object, refuse

FEATURE_TYPES = {
    "input": "embedding",
    "head": "attention head",
    "mlp": "mlp",
    "logits": "logit",
}
"""Our kinds of nodes; input and logits have the names that the graph pages know."""
ERROR = "mlp reconstruction error"


class GraphNode(NamedTuple):
    """A node of an attribution graph; `kind` is its `feature_type`."""

    id: str
    kind: str
    layer: str
    feature: int | None
    position: int
    label: str


class GraphLink(NamedTuple):
    """A link: the direct effect of one node on another."""

    source: str
    target: str
    weight: float


@dataclass(frozen=True)
class AttributionGraph:
    """A graph whose nodes may be anything, most often latents of transcoders.

    Attributes:
        raw: the file's own content, which writing gives back unchanged.
    """

    model: str
    prompt: str
    nodes: tuple[GraphNode, ...]
    links: tuple[GraphLink, ...]
    raw: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def kinds(self) -> dict[str, int]:
        """Number of nodes of each kind."""
        return dict(Counter(node.kind for node in self.nodes))

    @property
    def share_from_errors(self) -> float | None:
        """Share of all links' absolute weight that comes from error nodes; None without links."""
        errors = {node.id for node in self.nodes if node.kind == ERROR}
        total = sum(abs(link.weight) for link in self.links)
        lost = sum(abs(link.weight) for link in self.links if link.source in errors)
        return lost / total if total else None


def read(data: dict[str, Any]) -> AttributionGraph:
    """The graph of a file; raises FileFault where it is not valid."""
    if fault := schema_fault(data):
        refuse(f"not a valid attribution graph: {fault}")
    nodes = tuple(
        GraphNode(
            row["node_id"],
            row["feature_type"],
            str(row["layer"]),
            row["feature"],
            int(row["ctx_idx"]),
            row["clerp"],
        )
        for row in data["nodes"]
    )
    ids = Counter(node.id for node in nodes)
    links = tuple(
        GraphLink(row["source"], row["target"], a_number(row["weight"], f"links[{number}].weight"))
        for number, row in enumerate(data["links"])
    )
    for number, link in enumerate(links):
        if unknown := [id for id in (link.source, link.target) if id not in ids]:
            refuse(f"links[{number}] names {unknown[0]!r:.60}, which is not a node of the file")
    shared = sum(count > 1 for count in ids.values())
    note = (
        f"{shared} node ids are used twice (an error node of any layer can have the id of a latent of "
        "layer 0), so the links of these cannot be told apart"
    )
    metadata = data["metadata"]
    notes = (note,) if shared else ()
    return AttributionGraph(metadata["scan"], metadata["prompt"], nodes, links, data, notes)


def circuit_of(graph: AttributionGraph) -> ForeignCircuit | None:
    """The graph as a circuit of heads and MLPs, or None if its nodes are something else.

    Raises:
        FileFault: it says that it is one, but not which model it is of.
    """
    components: set[str] = set()
    for node in graph.nodes:
        try:
            components.add(str(Node.parse(node.id)))
        except UsageError:
            return None
    own = an_object(graph.raw["metadata"].get("hubel", {}), "metadata.hubel")
    shape = an_object(own.get("graph", {}), "metadata.hubel.graph")
    if not shape:
        refuse("a graph of heads and MLPs without metadata.hubel.graph: which model is it of?")
    edges: dict[Edge, ListedEdge] = {}
    for number, (row, link) in enumerate(zip(graph.raw["links"], graph.links, strict=True)):
        what = f"links[{number}].input"
        try:
            read = row.get("input", Node.parse(link.target).kind)
            edge = Edge.parse(f"{link.source}->{link.target}<{read}>")
        except UsageError:
            refuse(f"{what} is {row.get('input')!r:.60}, where q, k, v, mlp or logits is expected")
        if edge in edges:
            refuse(f"links[{number}] is there twice")
        edges[edge] = ListedEdge(
            None if row.get("scored") is False else -link.weight, in_circuit=True
        )
    return ForeignCircuit(
        "graph",
        ModelShape(
            a_size(shape.get("n_layers"), "n_layers"),
            a_size(shape.get("n_heads"), "n_heads"),
            a_flag(shape.get("parallel", False), "parallel"),
        ),
        "key-value-heads",
        edges,
        task=str(own.get("task", "")),
        subject=str(own.get("subject", "")),
    )


def write(
    circuit: FittedCircuit,
    labels: Mapping[Node, str],
    metadata: Mapping[str, Any],
    own: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of a file.

    Args:
        labels: what is known of a node, in words.
        metadata: slug, scan, prompt_tokens, prompt, and what else the schema has.
        own: what the schema has no place for.
    """
    edges = circuit.graph.edges_of(circuit.mask)
    places = (circuit.mask & circuit.graph.all_edges).nonzero().tolist()
    last = max(0, len(metadata["prompt_tokens"]) - 1)
    names = {node for edge in edges for node in (edge.source, edge.target)}
    order = [*circuit.graph.sources, Node("logits")]
    links: list[dict[str, Any]] = []
    for edge, (source, target) in zip(edges, places, strict=True):
        effect = float(circuit.effects[source, target])
        link = {"source": str(edge.source), "target": str(edge.target)}
        known = effect == effect
        scored = {} if known else {"scored": False}
        links.append(link | {"weight": -effect if known else 0.0, "input": edge.input} | scored)
    shape = {
        name: getattr(circuit.graph, name)
        for name in ("n_layers", "n_heads", "n_kv_heads", "parallel")
    }
    return {
        "metadata": {**metadata, "hubel": {**own, "graph": shape}},
        "qParams": {
            "pinnedIds": [],
            "supernodes": supernodes(order, labels),
            "linkType": "both",
            "clickedId": "",
            "sg_pos": "",
        },
        "nodes": [
            _node_row(node, circuit.graph.n_layers, last, labels.get(node, ""))
            for node in order
            if node in names
        ],
        "links": links,
    }


def supernodes(order: Sequence[Node], labels: Mapping[Node, str]) -> list[list[str]]:
    """Components of one role, as a group of the page: its name, then its members."""
    members: dict[str, list[str]] = {}
    for node in order:
        role, separator, _ = labels.get(node, "").partition(":")
        if separator:
            members.setdefault(role, [role]).append(str(node))
    return [group for group in members.values() if len(group) > 2]


def _node_row(node: Node, n_layers: int, last: int, label: str) -> dict[str, Any]:
    layer = {"input": "E", "logits": str(n_layers + 1)}.get(node.kind, str(node.layer))
    return {
        "node_id": str(node),
        "feature": node.head if node.kind == "head" else -1,
        "layer": layer,
        "ctx_idx": last,
        "feature_type": FEATURE_TYPES[node.kind],
        "is_target_logit": node.kind == "logits",
        "run_idx": 0,
        "reverse_ctx_idx": 0,
        "jsNodeId": f"{node}-0",
        "clerp": label,
        "influence": None,
        "activation": None,
    }
