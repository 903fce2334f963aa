"""`hubel circuit latents`: the circuit of a task among latents of dictionaries and error nodes.

A study (`studies/representation/latent_circuit.py`) under the options of the other circuit commands; its run
resumes, replays and is shown as any study's.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ....tools.errors import UsageError
from ...runlog.layout import new_run_name, run_argument
from ...runlog.progress import progress
from .. import options, output
from ..exit_status import DONE

STUDY = "latent-circuit"
SETTINGS = ("task", "faithfulness", "latents", "ablation", "discovery", "heldout", "seed")
"""Options that are the study's under the same name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the task, the dictionaries, and the size of the circuit."""
    parser.add_argument(
        "--task", metavar="T", help="a task, or a .csv, .tsv, .jsonl or .parquet file of pairs"
    )
    parser.add_argument(
        "--subject", default="smollm2-135m", help="the subject (default: smollm2-135m)"
    )
    options.add_dictionaries(parser)
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--faithfulness",
        type=float,
        default=0.8,
        metavar="F",
        help="take the fewest latents with at least this f on discovery prompts (default: .8)",
    )
    size.add_argument("--latents", type=int, default=0, metavar="N", help="take so many latents")
    parser.add_argument(
        "--ablation",
        choices=("resample", "mean"),
        default="resample",
        help="what ablated nodes hold: their value in the twin, or its mean (default: resample)",
    )
    for part, prompts, what in (("discovery", 32, "find"), ("heldout", 48, "test")):
        parser.add_argument(
            f"--{part}",
            type=int,
            default=prompts,
            metavar="N",
            help=f"number of prompts to {what} the circuit on (default: {prompts})",
        )
    parser.add_argument("--seed", type=int, default=0, help="seed for the prompts (default: 0)")
    parser.add_argument(
        "--name",
        help="name of the run (default: latents-TASK and the time); an existing run continues",
    )
    options.add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Run the study, and show its claims, the table of its runs and its nodes."""
    from ....tools.dictionaries.named_source import NamedSource
    from ...studies.run import run_study, study_config
    from ..study.tables import print_study

    if not args.task or not args.dictionary:
        raise UsageError(
            "`hubel circuit latents` needs --task T and --dictionary NAME=PATH; `hubel circuit tasks` "
            "shows what a subject can do"
        )
    sources = [NamedSource.parse(text) for text in args.dictionary]
    chosen = {name: getattr(args, name) for name in SETTINGS}
    chosen["dictionary"] = [f"{name}={_resolved(source)}" for name, source in sources]
    chosen["unchecked_dictionaries"] = args.unchecked_dictionaries
    config = study_config(STUDY, chosen, [args.subject], args.device, args.dtype)
    folder = args.runs / (args.name or new_run_name(f"latents-{Path(args.task).stem}-"))
    try:
        with progress(quiet=args.quiet) as reporter:
            document = run_study(folder, config, reporter)
    except KeyboardInterrupt:
        resume = f"`hubel resume {run_argument(folder)}`"
        raise KeyboardInterrupt(f"stopped; nothing is lost: {resume} continues it") from None
    nodes = _nodes(document)
    for row in nodes if args.json else ():
        output.json_line(row)
    print_study(folder, document, as_json=args.json)
    if not args.json:
        output.table(("node", "effect", "low", "high"), [_cells(row) for row in nodes])
    return DONE


def _resolved(source: str) -> str:
    """A path that a resume finds from any folder; a hub's name as it is."""
    path = Path(source).expanduser()
    return str(path.resolve()) if path.exists() else source


def _nodes(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Effects of the error nodes and of the circuit's strongest latents."""
    (bars,) = (figure for figure in document["figures"] if figure["name"] == "nodes")
    columns = (bars[name] for name in ("names", "values", "low", "high"))
    names = ("node", "effect", "low", "high")
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _cells(row: Mapping[str, Any]) -> Sequence[object]:
    node, *numbers = row.values()
    return (node, *(None if number is None else f"{number:+.3f}" for number in numbers))
