"""A circuit that somebody else found, tested as our own are: the run keeps the file as it came.

1. The file is read and fitted to the subject's graph (`tools.circuits.exchange`).
2. Its circuit is the edges that it marks. A file that marks all or none only ranks edges: then the
   circuit is grown from its scores to the configured share.
3. Its strongest edges and a random sample are patched exactly, and everything else that a circuit of
   our own goes through follows: roles, f on held-out prompts, random circuits, completeness, rivals.
   How stable it is under other prompts cannot be known, since the file has one score for an edge.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import cast

from ...tools.circuits.discovery import top_edges
from ...tools.circuits.exchange.circuit_file import parse_circuit
from ...tools.circuits.exchange.foreign_circuit import (
    FittedCircuit,
    ForeignCircuit,
    KeysOf,
    fit,
    only_ranks,
)
from ...tools.circuits.exchange.json_file import read_bytes
from ...tools.circuits.graph import Graph
from ...tools.errors import UsageError
from ..runlog.layout import CIRCUIT_IMPORTED
from .config import CircuitConfig
from .result import ImportedRow


def content_hash(content: bytes) -> str:
    """What names a file in a run's configuration."""
    return hashlib.sha256(content).hexdigest()


def circuit_in(content: bytes, name: str, keys_of: str = "") -> ForeignCircuit:
    """The circuit of a file of heads and MLPs.

    Args:
        keys_of: how it counts keys and values, if not as its format does.

    Raises:
        UsageError: it is not a circuit's file, or its nodes are something else.
    """
    circuit = parse_circuit(content, name)
    if not isinstance(circuit, ForeignCircuit):
        raise UsageError(
            f"{name}: its nodes are {', '.join(circuit.kinds)}, where heads and MLPs are expected"
        )
    return replace(circuit, keys_of=cast("KeysOf", keys_of)) if keys_of else circuit


def fit_imported(
    circuit: ForeignCircuit, graph: Graph, subject: str, share: float, d_model: int | None = None
) -> FittedCircuit:
    """The circuit on a subject's graph, grown from its scores if the file chooses none.

    Raises:
        UsageError: it does not fit the subject, or has neither a choice nor scores.
    """
    fitted = fit(circuit, graph, d_model, subject)
    if not only_ranks(circuit):
        return fitted
    if not fitted.n_scored:
        raise UsageError(
            "the file marks all of its edges or none, and scores none of them: it chooses no circuit"
        )
    n = min(max(1, round(share * graph.n_edges)), fitted.n_scored)
    return replace(fitted, mask=top_edges(graph, fitted.scores, n))


def read_imported(folder: Path, config: CircuitConfig, graph: Graph) -> FittedCircuit:
    """The circuit of a run's own copy of the file."""
    path = folder / CIRCUIT_IMPORTED
    circuit = circuit_in(read_bytes(path), str(path), config.keys_of)
    return fit_imported(circuit, graph, config.subject, config.share)


def imported_row(folder: Path, config: CircuitConfig, fitted: FittedCircuit) -> ImportedRow:
    """What circuit.json says of the file."""
    path = folder / CIRCUIT_IMPORTED
    circuit = circuit_in(read_bytes(path), str(path), config.keys_of)
    n_edges = fitted.graph.n_edges
    missing = [
        "one score for an edge and not one for each prompt: how stable the circuit is under other "
        "prompts is not known"
    ]
    if fitted.n_scored < n_edges:
        missing.append(
            f"scores of {n_edges - fitted.n_scored:,} of {n_edges:,} edges: at sizes beyond the "
            f"{fitted.n_scored:,} scored ones, circuits are filled up in the order of the graph"
        )
    chosen_by = f"the {config.share:.3g} with the largest scores" if only_ranks(circuit) else "file"
    return ImportedRow(
        format=circuit.format,
        sha256=config.imported,
        listed_edges=len(circuit.edges),
        scored_edges=fitted.n_scored,
        chosen_by=chosen_by,
        notes=[*circuit.notes, *fitted.notes],
        missing=missing,
    )
