"""`hubel circuit run`: find the circuit of a task, explain it and test the explanation."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from ....tools.errors import UsageError
from ...runlog.layout import new_run_name, run_argument
from ...runlog.model_config import BudgetConfig
from .. import options, output

SETTINGS = (
    "task",
    "subject",
    "share",
    "faithfulness",
    "patience",
    "discovery",
    "heldout",
    "method",
    "steps",
    "opposing",
    "rounds",
    "nodes",
    "seed",
    "device",
    "dtype",
)
"""Options that are settings of the run under the same name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the task, the search for the circuit, the explainer and the budget."""
    parser.add_argument(
        "--task", metavar="T", help="a task, or a .csv, .tsv, .jsonl or .parquet file of pairs"
    )
    parser.add_argument(
        "--subject", default="smollm2-135m", help="the subject (default: smollm2-135m)"
    )
    parser.add_argument(
        "--name",
        help="name of the run (default: circuit-TASK and the time); an existing run continues",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed for the prompts (default: 0)")
    _add_search(parser.add_argument_group("circuit"))
    roles = parser.add_argument_group("roles")
    roles.add_argument(
        "--explainer",
        default="compositional",
        help="how roles are named: compositional (default), openai:MODEL, anthropic:MODEL",
    )
    roles.add_argument(
        "--nodes",
        type=int,
        default=16,
        metavar="N",
        help="number of components that get a role (default: 16)",
    )
    options.add_patience(options.add_explainer_model(parser))
    options.add_budget(parser, targets=False)
    options.add_device(parser)
    options.add_engine(parser)


def _add_search(circuit: argparse._ArgumentGroup) -> None:
    size = circuit.add_mutually_exclusive_group()
    size.add_argument(
        "--share",
        type=float,
        default=0.02,
        help="size of the circuit, as a share of all edges (default: .02)",
    )
    size.add_argument(
        "--faithfulness",
        type=float,
        default=0.0,
        metavar="F",
        help="take the smallest circuit with at least this faithfulness f instead",
    )
    circuit.add_argument(
        "--method",
        default="eap-ig-inputs",
        help="method that scores edges (default: eap-ig-inputs)",
    )
    circuit.add_argument(
        "--steps", type=int, default=0, help="steps of integrated gradients (default: the method's)"
    )
    circuit.add_argument(
        "--opposing",
        type=float,
        default=0.0,
        metavar="W",
        help="weight in the ranking of edges that work against the answer; 1 ranks by size alone "
        "(default: the weight that brings f nearest to 1 on discovery prompts)",
    )
    circuit.add_argument(
        "--rounds",
        type=int,
        default=0,
        metavar="N",
        help="rounds of swapping edges to improve f (default: 0)",
    )
    circuit.add_argument(
        "--discovery",
        type=int,
        default=48,
        metavar="N",
        help="number of prompts to rank edges on (default: 48)",
    )
    circuit.add_argument(
        "--heldout",
        type=int,
        default=48,
        metavar="N",
        help="number of held-out prompts to verify the circuit on (default: 48)",
    )


def run(args: argparse.Namespace) -> int:
    """Start or continue the run, and show the result."""
    from ....tools.subject.load import require_decoder
    from ...circuits.config import CircuitConfig
    from ...circuits.run import make_circuit_run
    from .runs import finish_circuit

    if not args.task:
        raise UsageError(
            "`hubel circuit run` needs --task T; `hubel circuit tasks` shows what a subject can do"
        )
    if args.name and Path(args.name).name != args.name:
        raise UsageError(
            f"--name {args.name!r}: give a plain name; --runs DIR says where runs live"
        )
    config = CircuitConfig(
        **{name: getattr(args, name) for name in SETTINGS},
        explainer=options.model(args, "explainer", args.base_url),
        budget=BudgetConfig(options.budget(args)),
    )
    options.engine(args)  # checked before the run is made
    folder = args.runs / (args.name or new_run_name(f"circuit-{Path(args.task).stem}-"))
    check_subject = partial(require_decoder, config.subject, "circuits")
    make_circuit_run(folder, config, check_subject=check_subject)
    if not args.quiet:
        output.note(
            f"run {folder.name}: `hubel resume {run_argument(folder)}` continues it if it is stopped"
        )
    return finish_circuit(folder, args)
