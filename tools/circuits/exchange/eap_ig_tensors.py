"""EAP-IG's `.pt` files: the same circuit as its JSON, as one table of scores from sources to targets.

    {"cfg": as in the JSON, "src_nodes": ["input", "a0.h0", ..., "m0", ...],
     "dst_nodes": ["a0.h0<q>", ..., "m0", ..., "logits"],
     "edges_scores", "edges_in_graph": (sources, targets), "nodes_in_graph": (sources), ...}

The table has a place for pairs that are no edges as well (a later node to an earlier one); these are
left out. Only tensors and plain values are unpickled, no code.
"""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import Tensor

from ..graph import Graph
from . import eap_ig
from .json_file import FileFault, a_flag, a_list, a_size, an_object, refuse

MAGIC = b"PK\x03\x04"
"""How the archive that `torch.save` writes begins."""
_NUMBERS = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool, torch.uint8, torch.int64,
)  # fmt: skip
KEYS = ("cfg", "src_nodes", "dst_nodes", "edges_scores", "edges_in_graph", "nodes_in_graph")


def as_json(content: bytes) -> dict[str, Any]:
    """What EAP-IG's JSON of the same circuit would hold; raises FileFault."""
    data = _unpickled(content)
    if missing := [key for key in KEYS if key not in data]:
        refuse(f"an EAP-IG .pt file without {missing[0]!r}; it needs {', '.join(KEYS)}")
    cfg = an_object(data["cfg"], "cfg")
    n_layers, n_heads = (a_size(cfg.get(key), f"cfg {key}") for key in ("n_layers", "n_heads"))
    parallel = a_flag(cfg.get("parallel_attn_mlp", False), "cfg parallel_attn_mlp")
    if n_layers * n_heads > 1 << 16:
        refuse(f"cfg says {n_layers} layers of {n_heads} heads, which is too many")
    sources, targets = (_index(data[key], key) for key in ("src_nodes", "dst_nodes"))
    scores = _table(data["edges_scores"], "edges_scores", len(sources), len(targets))
    inside = _table(data["edges_in_graph"], "edges_in_graph", len(sources), len(targets))
    graph = Graph(n_layers, n_heads, n_heads, parallel=parallel)
    edges: dict[str, dict[str, Any]] = {}
    for edge in graph.edges_of(graph.all_edges):
        name = eap_ig.edge_name(edge)
        source, _, target = name.partition("->")
        if source not in sources or target not in targets:
            refuse(
                f"src_nodes and dst_nodes have no {name!r}, an edge of the model that cfg describes"
            )
        row, column = sources[source], targets[target]
        edges[name] = {"score": scores[row][column], "in_graph": bool(inside[row][column])}
    used = _table(data["nodes_in_graph"], "nodes_in_graph", len(sources))
    extra = {
        "score": "nodes_scores" in data,
        "neurons": "neurons_in_graph" in data or "neurons_scores" in data,
    }
    kept_by_nobody = {key: None for key, there in extra.items() if there}
    nodes: dict[str, dict[str, Any]] = {
        name: {"in_graph": bool(used[row]), **kept_by_nobody} for name, row in sources.items()
    }
    return {"cfg": cfg, "nodes": nodes, "edges": edges}


def _unpickled(content: bytes) -> dict[str, Any]:
    try:
        data = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler of a stranger's bytes raises errors of any kind
        first_line = (str(error).strip().splitlines() or ["no reason"])[0]
        raise FileFault(
            "a .pt file that cannot be read as tensors alone, and a pickle may carry code "
            f"({type(error).__name__}: {first_line:.100}); export the circuit as JSON"
        ) from error
    return an_object(data, "the file")


def _index(names: object, what: str) -> dict[str, int]:
    """Each name with its place."""
    places = {str(name): place for place, name in enumerate(a_list(names, what))}
    if len(places) != len(a_list(names, what)):
        refuse(f"{what} has a name twice")
    return places


def _table(value: object, what: str, *shape: int) -> list[Any]:
    """The rows of a tensor of plain numbers."""
    if not isinstance(value, Tensor):
        refuse(f"{what} is a {type(value).__name__}, where a tensor is expected")
    is_plain = value.layout is torch.strided and value.dtype in _NUMBERS
    if not is_plain or tuple(value.shape) != shape:
        refuse(
            f"{what} is {tuple(value.shape)}, where plain numbers of the shape {shape} are expected"
        )
    return value.tolist()
