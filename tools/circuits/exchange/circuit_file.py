"""A file of a circuit, of whichever kind: its first bytes or its JSON say which."""

from __future__ import annotations

from pathlib import Path

from ...errors import UsageError
from . import eap_ig, eap_ig_tensors, graph_json
from .foreign_circuit import ForeignCircuit
from .graph_json import AttributionGraph
from .json_file import FileFault, parse_object, read_bytes

KINDS = (
    "hubel reads EAP-IG / MIB circuits (cfg, nodes, edges, or their .pt) and attribution graphs of circuit-tracer "
    "and Neuronpedia (metadata, qParams, nodes, links)"
)


def read_circuit_file(path: Path) -> ForeignCircuit | AttributionGraph:
    """The circuit of a file; or its graph, where the nodes are not heads and MLPs.

    Raises:
        UsageError: there is no such file, or it is neither.
    """
    return parse_circuit(read_bytes(path), str(path))


def parse_circuit(content: bytes, name: str) -> ForeignCircuit | AttributionGraph:
    """The same of its content; `name` is for messages."""
    try:
        if content.startswith(eap_ig_tensors.MAGIC):
            return eap_ig.read(eap_ig_tensors.as_json(content))
        data = parse_object(content)
        if "links" in data or "metadata" in data:
            graph = graph_json.read(data)
            return graph_json.circuit_of(graph) or graph
        if "edges" in data or "cfg" in data:
            return eap_ig.read(data)
    except FileFault as fault:
        raise UsageError(f"{name}: {fault}; nothing was imported") from None
    raise UsageError(f"{name} has the entries {', '.join(list(data)[:6]) or 'none'}: {KINDS}")
