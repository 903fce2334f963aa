"""Circuits as EAP-IG and MIB keep them: JSON with `cfg`, `nodes` and `edges`.

    {"cfg": {"n_layers", "n_heads", "parallel_attn_mlp", "d_model"},
     "nodes": {"input": {"in_graph": true}, "a0.h0": {...}, "m0": {...}, "logits": {...}},
     "edges": {"input->a0.h0<q>": {"score": 0.1, "in_graph": true}, "a0.h0->m0": {...}}}

Keys and values are counted by query head, also under grouped-query attention (`foreign_circuit`). An
edge without a known score has NaN, which EAP-IG's loader takes; it does not take null. A file that
hubel wrote has an entry `hubel` more, which EAP-IG does not read. Source of the format:
github.com/hannamw/EAP-IG, `src/eap/graph.py`.
"""

from __future__ import annotations

import math
import re
from typing import Any, cast

from ..graph import Edge, Graph, Input, Node
from .foreign_circuit import FittedCircuit, ForeignCircuit, ListedEdge, ModelShape, by_query_heads
from .json_file import a_flag, a_number, a_size, an_object, refuse

_NODE = re.compile(r"(?P<kind>input|logits)|a(?P<layer>\d+)\.h(?P<head>\d+)|m(?P<at>\d+)")
_EDGE = re.compile(r"(?P<source>[\w.]+)->(?P<target>[\w.]+)(<(?P<input>[qkv])>)?")
KEYS = ("cfg", "nodes", "edges")
GROUPS = (
    "keys and values are counted by query head: an edge into a key-value head is written for every "
    "query head that shares it, with an even part of its score"
)


def read(data: dict[str, Any]) -> ForeignCircuit:
    """The circuit of a file; raises FileFault."""
    if missing := [key for key in KEYS if key not in data]:
        refuse(f"an EAP-IG circuit without {missing[0]!r}; it needs {', '.join(KEYS)}")
    cfg, own = an_object(data["cfg"], "cfg"), an_object(data.get("hubel", {}), "hubel")
    shape = ModelShape(
        a_size(cfg.get("n_layers"), "cfg n_layers"),
        a_size(cfg.get("n_heads"), "cfg n_heads"),
        a_flag(cfg.get("parallel_attn_mlp", False), "cfg parallel_attn_mlp"),
        a_size(cfg["d_model"], "cfg d_model") if "d_model" in cfg else None,
    )
    edges: dict[Edge, ListedEdge] = {}
    for name, row in an_object(data["edges"], "edges").items():
        row = an_object(row, f"edge {name!r:.60}")
        edge = parse_edge(name)
        effect = _effect(row.get("score"), name)
        edges[edge] = ListedEdge(effect, a_flag(row.get("in_graph"), f"in_graph of {name!r:.60}"))
    if not edges:
        refuse("no edges")
    return ForeignCircuit(
        "eap-ig",
        shape,
        "query-heads",
        edges,
        task=str(own.get("task", "")),
        subject=str(own.get("subject", "")),
        notes=_notes(an_object(data["nodes"], "nodes")),
    )


def _effect(score: object, edge: str) -> float | None:
    """The effect behind a score; None where the file has none, or NaN."""
    if score is None or (isinstance(score, float) and math.isnan(score)):
        return None
    return -a_number(score, f"the score of {edge!r:.60}")


def _notes(nodes: dict[str, Any]) -> tuple[str, ...]:
    """What the nodes of a file hold that hubel does not keep; their names are checked."""
    scored = neurons = 0
    for name, row in nodes.items():
        parse_node(name)
        if isinstance(row, dict):  # older files have true or false alone
            scored += "score" in row
            neurons += "neurons" in row or "neurons_scores" in row
    notes: list[str] = []
    if scored:
        notes.append(f"the scores of {scored} nodes are not kept: circuits here are made of edges")
    if neurons:
        notes.append(f"the neurons of {neurons} nodes are not kept: each node counts as a whole")
    return tuple(notes)


def write(circuit: FittedCircuit, d_model: int | None, own: dict[str, Any]) -> dict[str, Any]:
    """The content of a file.

    Args:
        d_model: width of the stream; left out where it is not known.
        own: what other programs leave alone: task, subject, and where the circuit comes from.
    """
    graph = circuit.graph
    inside = circuit.mask.any(1).tolist()
    nodes = {
        node_name(node): {"in_graph": bool(used)}
        for node, used in zip(graph.sources, inside, strict=True)
    }
    nodes["logits"] = {"in_graph": True}
    edges: dict[str, dict[str, Any]] = {}
    scored = ~circuit.effects.isnan() | circuit.mask
    places = (scored & graph.all_edges).nonzero().tolist()
    for edge, (source, target) in zip(graph.edges_of(scored), places, strict=True):
        effect = float(circuit.effects[source, target])
        known = None if math.isnan(effect) else effect
        for named, part in by_query_heads(edge, known, graph):
            score = math.nan if part is None else -part
            edges[edge_name(named)] = {
                "score": score,
                "in_graph": bool(circuit.mask[source, target]),
            }
    return {
        "cfg": {
            "n_layers": graph.n_layers,
            "n_heads": graph.n_heads,
            "parallel_attn_mlp": graph.parallel,
            **({} if d_model is None else {"d_model": d_model}),
        },
        "nodes": nodes,
        "edges": edges,
        "hubel": own | _on_groups(graph),
    }


def _on_groups(graph: Graph) -> dict[str, Any]:
    if graph.heads_per_kv == 1:
        return {}
    return {"n_key_value_heads": graph.n_kv_heads, "grouped_query_attention": GROUPS}


def node_name(node: Node) -> str:
    """A node's name in these files."""
    if node.kind == "head":
        return f"a{node.layer}.h{node.head}"
    return f"m{node.layer}" if node.kind == "mlp" else node.kind


def edge_name(edge: Edge) -> str:
    """An edge's name in these files."""
    read = f"<{edge.input}>" if edge.target.kind == "head" else ""
    return f"{node_name(edge.source)}->{node_name(edge.target)}{read}"


def parse_node(name: str) -> Node:
    """The inverse of `node_name`; raises FileFault."""
    match = _NODE.fullmatch(name)
    if match is None:
        refuse(f"{name!r:.60} is not a node; valid are input, a0.h0, m0, logits")
    if match["layer"]:
        return Node("head", int(match["layer"]), int(match["head"]))
    return Node("mlp", int(match["at"])) if match["at"] else Node(cast(Any, match["kind"]))


def parse_edge(name: str) -> Edge:
    """The inverse of `edge_name`; raises FileFault."""
    match = _EDGE.fullmatch(name)
    if match is None:
        refuse(f"{name!r:.60} is not an edge; write a0.h0->m3, m2->logits or m0->a5.h1<k>")
    source, target = parse_node(match["source"]), parse_node(match["target"])
    if (target.kind == "head") != bool(match["input"]) or target.kind == "input":
        refuse(f"{name!r:.60}: edges into heads, and only these, end in <q>, <k> or <v>")
    read = match["input"] or target.kind
    return Edge(source, target, cast(Input, read))
