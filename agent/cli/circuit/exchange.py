"""`hubel circuit export` and `import`: circuits to and from the files of other programs."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ....tools.errors import UsageError
from ...runlog.progress import progress
from .. import options, output
from ..exit_status import DONE

if TYPE_CHECKING:
    from ....tools.circuits.exchange.foreign_circuit import ForeignCircuit
    from ....tools.circuits.exchange.graph_json import AttributionGraph

FORMATS = ("eap-ig", "graph")
DEFAULT_SUBJECT = "smollm2-135m"
SHOWN_LINKS = 10
"""Strongest links that are printed of a graph that is only read."""


def add_export(parser: argparse.ArgumentParser) -> None:
    """The run, the format and the file."""
    parser.add_argument("run", metavar="RUN", help="name or folder of a finished circuit run")
    parser.add_argument(
        "--to",
        required=True,
        choices=FORMATS,
        help="eap-ig: JSON of EAP-IG and MIB; graph: attribution graph of circuit-tracer and Neuronpedia",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="PATH", help="file to write")


def export(args: argparse.Namespace) -> int:
    """Write the file, then say what is not in it."""
    from ....tools.files import atomic_file
    from ...circuits.export import export_circuit
    from ...runlog.config import find_run

    exported = export_circuit(find_run(args.run, args.runs), args.to)
    # EAP-IG's loader takes an unknown score as NaN only; graphs have none
    text = json.dumps(exported.content, ensure_ascii=False, allow_nan=args.to == "eap-ig")
    with atomic_file(args.out) as partial_file:
        partial_file.write_text(text + "\n", encoding="utf-8")
    content = exported.content
    n_edges = len(content["links" if args.to == "graph" else "edges"])
    if args.json:
        output.json_line(
            {
                "path": str(args.out),
                "format": args.to,
                "nodes": len(content["nodes"]),
                "edges": n_edges,
                "left_out": exported.left_out,
            }
        )
        return DONE
    nodes = output.count(len(content["nodes"]), "node")
    output.line(f"{args.out}: {nodes}, {output.count(n_edges, 'edge')}")
    if kv := content.get("hubel", {}).get("grouped_query_attention"):
        output.line(f"  {kv}")
    for line in exported.left_out:
        output.line(f"  not in the file: {line}")
    return DONE


def add_import(parser: argparse.ArgumentParser) -> None:
    """The file, and what it does not say: the task, and how large a circuit to take."""
    parser.add_argument("path", metavar="PATH", type=Path, help="the file of a circuit")
    parser.add_argument(
        "--task", metavar="T", help="a task, or a .csv, .tsv, .jsonl or .parquet file of pairs"
    )
    parser.add_argument(
        "--subject",
        help="the model that the circuit was found in (default: the one that the file names, else "
        f"{DEFAULT_SUBJECT})",
    )
    parser.add_argument(
        "--name",
        help="name of the run that measures it (default: circuit-FILE and the time); an existing "
        "run continues",
    )
    parser.add_argument(
        "--share",
        type=float,
        default=0.02,
        help="size of the circuit as a share of all edges, where the file ranks edges and chooses "
        "none (default: .02)",
    )
    parser.add_argument(
        "--keys-of",
        choices=("query-heads", "key-value-heads"),
        default="",
        help="how the file counts keys and values under grouped-query attention (default: as its "
        "format does)",
    )
    _add_sizes(parser)
    options.add_budget(parser, targets=False)
    options.add_device(parser)
    options.add_engine(parser)


def _add_sizes(parser: argparse.ArgumentParser) -> None:
    for name, default, what in (
        ("discovery", 48, "prompts that compare the file's scores with exact effects"),
        ("heldout", 48, "held-out prompts to test the circuit on"),
        ("nodes", 16, "components that get a role"),
    ):
        parser.add_argument(
            f"--{name}",
            type=int,
            default=default,
            metavar="N",
            help=f"number of {what} (default: {default})",
        )
    parser.add_argument("--seed", type=int, default=0, help="seed for the prompts (default: 0)")


def import_(args: argparse.Namespace) -> int:
    """Measure the circuit as one of our own is; a graph of something else is shown."""
    from ....tools.circuits.exchange.circuit_file import read_circuit_file
    from ....tools.circuits.exchange.foreign_circuit import ForeignCircuit

    circuit = read_circuit_file(args.path)
    if not isinstance(circuit, ForeignCircuit):
        _show_graph(circuit, as_json=args.json)
        return DONE
    return _measure(circuit, args)


def _measure(circuit: ForeignCircuit, args: argparse.Namespace) -> int:
    from ....tools.circuits.exchange.json_file import read_bytes
    from ....tools.circuits.selftest import open_circuit_model
    from ....tools.subject import load_subject
    from ...circuits.config import CircuitConfig
    from ...circuits.imported import circuit_in, content_hash, fit_imported
    from ...circuits.run import make_circuit_run
    from .runs import finish_circuit

    options.engine(args)  # checked before a model is loaded
    content = read_bytes(args.path)
    config = CircuitConfig(
        task=_task(circuit, args),
        subject=args.subject or circuit.subject or DEFAULT_SUBJECT,
        share=args.share,
        discovery=args.discovery,
        heldout=args.heldout,
        nodes=args.nodes,
        seed=args.seed,
        device=args.device,
        dtype=args.dtype,
        imported=content_hash(content),
        keys_of=args.keys_of,
    )
    name = args.name or f"circuit-{args.path.stem}-{datetime.now():%Y%m%d-%H%M%S}"
    if Path(name).name != name:
        raise UsageError(f"--name {name!r}: give a plain name; --runs DIR says where runs live")
    with progress(quiet=args.quiet) as reporter:
        subject = load_subject(
            config.subject, device=args.device, dtype=args.dtype, progress=reporter.say
        )
    # It is fitted before anything is written, so that a file of another model leaves no run.
    graph = open_circuit_model(subject).graph
    named = circuit_in(content, str(args.path), args.keys_of)
    fit_imported(named, graph, subject.name, args.share, subject.d_model)
    make_circuit_run(args.runs / name, config, content)
    return finish_circuit(args.runs / name, args, subject)


def _task(circuit: ForeignCircuit, args: argparse.Namespace) -> str:
    """The task to measure on; raises UsageError, with what the file has, if nobody named one."""
    from ....tools.circuits.tasks import all_tasks

    if args.task:
        return args.task
    if circuit.task in all_tasks():
        return circuit.task
    shape = circuit.shape
    raise UsageError(
        f"{args.path}: {len(circuit.edges):,} edges, {circuit.n_inside:,} of them in the circuit, of a "
        f"model of {shape.n_layers} layers of {shape.n_heads} heads; the file holds no prompts: add "
        "--task T to measure it (`hubel circuit tasks` lists them, and a file of pairs will do)"
    )


def _show_graph(graph: AttributionGraph, *, as_json: bool) -> None:
    """A graph of latents: read, and not measured."""
    share = graph.share_from_errors
    strongest = sorted(graph.links, key=lambda link: -abs(link.weight))[:SHOWN_LINKS]
    if as_json:
        output.json_line(
            {
                "model": graph.model,
                "prompt": graph.prompt,
                "kinds": graph.kinds,
                "links": len(graph.links),
                "share_from_errors": share,
                "strongest": [link._asdict() for link in strongest],
                "notes": list(graph.notes),
            }
        )
        return
    kinds = ", ".join(f"{count} {kind}" for kind, count in graph.kinds.items())
    output.line(f"attribution graph on {graph.model}: {kinds}; {len(graph.links):,} links")
    output.line(f"  prompt: {graph.prompt!r}")
    per_layer = Counter(node.layer for node in graph.nodes)
    output.line("  nodes by layer: " + ", ".join(f"{k} {n}" for k, n in per_layer.items()))
    if share is not None:
        output.line(f"  {share:.1%} of the absolute weight of all links comes from error nodes")
    for note in graph.notes:
        output.line(f"  {note}")
    labels = {node.id: node.label for node in graph.nodes}
    rows = [
        (link.source, labels[link.source], link.target, labels[link.target], f"{link.weight:+.3g}")
        for link in strongest
    ]
    columns = ("from", "", "to", "", "weight")
    output.table(columns, rows, title="strongest links", right=("weight",))
    output.line(
        "read and not measured: its nodes are latents at positions, and a circuit of `hubel circuit` "
        "is made of heads and MLPs"
    )
