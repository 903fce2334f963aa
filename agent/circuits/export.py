"""A finished circuit in the files of other programs (`tools.circuits.exchange` has the formats).

Scores are the means over discovery prompts, of all edges where the run's arrays are there. What a
format has no place for is said in one line for each kind of thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...tools.circuits.exchange import eap_ig, graph_json
from ...tools.circuits.exchange.foreign_circuit import FittedCircuit
from ...tools.circuits.graph import Edge, Graph, Node
from ...tools.errors import HubelError, UsageError
from ..runlog.layout import CIRCUIT_ARRAYS, EVENTS, run_argument
from .config import CircuitConfig
from .imported import read_imported
from .replay import recorded_context
from .result import FoundCircuit, circuit_edges, read_result

GRAPH_ARGUMENTS = ("n_layers", "n_heads", "n_kv_heads", "parallel")


@dataclass(frozen=True)
class ExportedCircuit:
    """The content of a file, and what the run has that is not in it."""

    content: dict[str, Any]
    left_out: list[str]


def export_circuit(folder: Path, to: str) -> ExportedCircuit:
    """A finished circuit run in a format.

    Raises:
        UsageError: an unknown format, or the run has not finished, or found no circuit.
    """
    if to not in WRITERS:
        raise UsageError(f"--to {to!r}: expected {' or '.join(WRITERS)}")
    result = read_result(folder)
    if result["verdict"] == "cannot do":
        raise UsageError(f"{folder.name} has no circuit to write: {result['reason']}")
    graph = Graph(**{name: result["graph"][name] for name in GRAPH_ARGUMENTS})
    circuit, left_out = _fitted(folder, result, graph)
    content, more = WRITERS[to](folder, result, circuit)
    return ExportedCircuit(content, [*left_out, *more, *_left_out(result)])


def _fitted(folder: Path, result: FoundCircuit, graph: Graph) -> tuple[FittedCircuit, list[str]]:
    """Mask and scores of a run, and what is missing of them."""
    mask = graph.mask_of(map(Edge.parse, circuit_edges(result)))
    config = CircuitConfig.load(folder)
    if config.imported:
        return FittedCircuit(graph, read_imported(folder, config, graph).effects, mask), []
    if (folder / EVENTS).is_dir() and (folder / CIRCUIT_ARRAYS).is_dir():
        with recorded_context(folder) as context:
            prompts = context.discovery_prompts()
            scores = context.edge_scores(prompts).mean(0).double()
        return FittedCircuit(graph, scores.where(graph.all_edges, torch.nan), mask), []
    effects = torch.full(graph.all_edges.shape, torch.nan, dtype=torch.float64)
    for row in result["edges"]:
        effects[graph.place_of(Edge.parse(f"{row['source']}->{row['target']}"))] = row["weight"]
    circuit = FittedCircuit(graph, effects, mask)
    return circuit, [
        f"scores of {graph.n_edges - circuit.n_scored:,} of {graph.n_edges:,} edges: the run's "
        f"{CIRCUIT_ARRAYS}/ is not in its folder, and circuit.json has the strongest only"
    ]


def _left_out(result: FoundCircuit) -> list[str]:
    """What neither format holds."""
    n_exact = sum(row["exact"] is not None for row in result["edges"])
    n_predictions = sum(len(node["predictions"]) for node in result["nodes"])
    lines = ["the curve of f, ablations, minimality, stability and rivals"]
    if n_exact:
        lines.append(f"exact effects of {n_exact} edges")
    if n_predictions:
        lines.append(f"{n_predictions} predictions of roles, with their outcomes")
    return lines


def _write_eap_ig(
    folder: Path, result: FoundCircuit, circuit: FittedCircuit
) -> tuple[dict[str, Any], list[str]]:
    left_out: list[str] = []
    d_model = width_of(result["subject"])
    if d_model is None:
        left_out.append(
            f"d_model, which EAP-IG's loader needs: {result['subject']} is not found here"
        )
    if named := sum(bool(node["role"]) for node in result["nodes"]):
        left_out.append(f"the roles of {named} components")
    return eap_ig.write(circuit, d_model, _own(folder, result)), left_out


def _write_graph(
    folder: Path, result: FoundCircuit, circuit: FittedCircuit
) -> tuple[dict[str, Any], list[str]]:
    tokens = next((n["attention"]["prompt_tokens"] for n in result["nodes"] if n["attention"]), [])
    labels = {
        Node.parse(node["id"]): f"{node['role']}: {node['description']}"
        for node in result["nodes"]
        if node["role"]
    }
    labels[Node("logits")] = "logit difference of answers and foils"
    metadata = {
        "slug": re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-") or "circuit",
        "scan": result["subject"],
        "transcoder_list": [],
        "prompt_tokens": tokens,
        "prompt": "".join(tokens),
        "schema_version": 1,
        "info": {
            "description": f"{result['summary']}: {result['verdict']}; {result['reason']}",
            "generator": {"name": "hubel"},
        },
    }
    outside = circuit.n_scored - int((~circuit.effects.isnan() & circuit.mask).sum())
    left_out = [
        "positions: a circuit here has none, so all nodes are at the last token of the first "
        "discovery prompt"
    ]
    if outside:
        left_out.append(f"scores of {outside:,} edges outside the circuit")
    if not tokens:
        left_out.append("the prompt: no head with a role shows one")
    return graph_json.write(circuit, labels, metadata, _own(folder, result)), left_out


Writer = Callable[[Path, FoundCircuit, FittedCircuit], tuple[dict[str, Any], list[str]]]
WRITERS: dict[str, Writer] = {"eap-ig": _write_eap_ig, "graph": _write_graph}


def _own(folder: Path, result: FoundCircuit) -> dict[str, Any]:
    """What other programs leave alone."""
    return {
        "task": result["task"],
        "subject": result["subject"],
        "subject_revision": result["subject_revision"],
        "run": run_argument(folder),
        "verdict": result["verdict"],
        "faithfulness": result["faithfulness"],
        "completeness": result["completeness"],
        "score": "estimated fall of the logit difference when the edge is patched from the "
        "corrupted prompt: above 0 works for the answer",
    }


def width_of(subject: str) -> int | None:
    """d_model of a subject, from its configuration; None if it is not found here."""
    from ...tools.subject.load import subject_width

    try:
        return subject_width(subject)
    except HubelError:
        return None
