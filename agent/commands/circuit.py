"""`hubel circuit`: what can a subject do, which circuit does it, and what is that circuit worth?"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from ...tools.errors import UsageError
from .. import options, output
from . import _abstract, _components

NAME = "circuit"
HELP = "the circuit of a task: tasks, run, show; its parts: mediate, paths, attention; abstract"
INTERRUPTED = "stopped; nothing is lost: the same command goes on"

PROMPTS = 64
"""Prompts of a task in the table: its intervals are then a tenth wide."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, on which subject and task."""
    parser.add_argument(
        "action",
        choices=("tasks", "run", "show", "mediate", "paths", "attention", "abstract"),
        help="tasks: what can the subject do at all? run: find the circuit of a task, explain it, test it; show: a "
        "run; mediate: what goes through a head or neuron, and past it? paths: through some readers alone? attention: "
        "where do heads look, and is that what counts? abstract: does the subject compute what a program computes?",
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="show: a run's name, or its folder")
    parser.add_argument("--subject", default="smollm2-135m")
    parser.add_argument("--task", metavar="T", help="a task, or a .csv or .jsonl file of pairs (tasks: default all)")
    parser.add_argument(
        "--prompts",
        type=int,
        metavar="N",
        help=f"prompts to ask (default: tasks {PROMPTS}, else {_components.PROMPTS})",
    )
    group = parser.add_argument_group("run")
    group.add_argument("--name", help="the run's name (default: circuit-TASK and the time); the same again goes on")
    size = group.add_mutually_exclusive_group()
    size.add_argument("--share", type=float, default=0.02, help="edges of the circuit, of all (default: .02)")
    size.add_argument("--faithfulness", type=float, default=0.0, metavar="F", help="or the smallest with this f")
    group.add_argument("--explainer", default="compositional", help="who names roles (default: compositional)")
    group.add_argument("--discovery", type=int, default=48, metavar="N", help="prompts that rank edges (default: 48)")
    group.add_argument("--heldout", type=int, default=48, metavar="N", help="prompts that verify (default: 48)")
    group.add_argument("--method", default="eap-ig-inputs", help="how edges are scored (default: eap-ig-inputs)")
    group.add_argument("--steps", type=int, default=0, help="steps of integrated gradients (default: the method's)")
    group.add_argument("--rounds", type=int, default=0, metavar="N", help="rounds of swapping edges (default: 0)")
    group.add_argument("--nodes", type=int, default=16, metavar="N", help="components that get a role (default: 16)")
    _components.add_arguments(parser)
    _abstract.add_arguments(parser)
    parser.add_argument("--seed", type=int, default=0)
    options.add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Do it; a task that the subject cannot do is an answer, not an error."""
    if args.prompts is not None and args.prompts < 1:
        raise UsageError(f"--prompts {args.prompts}: give at least 1")
    actions = {"tasks": _tasks, "run": _run, "show": _show, "abstract": _abstract.run}
    return actions.get(args.action, _components.run)(args)


def _run(args: argparse.Namespace) -> int:
    from ..circuits.config import CircuitConfig
    from ..circuits.run import make_circuit_run
    from ._circuits import finish_circuit

    if not args.task:
        raise UsageError("`hubel circuit run` needs --task T; `hubel circuit tasks` shows which a subject can do")
    if args.name and Path(args.name).name != args.name:
        raise UsageError(f"--name {args.name!r}: give a plain name; --runs DIR says where runs live")
    names = (
        "task",
        "subject",
        "share",
        "faithfulness",
        "explainer",
        "discovery",
        "heldout",
        "method",
        "steps",
        "rounds",
        "nodes",
    )
    config = CircuitConfig(**{name: getattr(args, name) for name in (*names, "seed", "device", "dtype")})
    folder = args.runs / (args.name or f"circuit-{Path(args.task).stem}-{datetime.now():%Y%m%d-%H%M%S}")
    make_circuit_run(folder, config)
    if not args.quiet:
        sys.stderr.write(f"run {folder.name}: `hubel resume {folder.name}` goes on if it is stopped\n")
    return finish_circuit(folder, args)


def _show(args: argparse.Namespace) -> int:
    from ..circuits.stored import stored
    from ..config import find_run
    from ._circuits import show_circuit

    if not args.run:
        raise UsageError("`hubel circuit show` needs the run's name; `hubel runs` lists them")
    show_circuit(stored(find_run(args.run, args.runs)), as_json=args.json)
    return 0


def _tasks(args: argparse.Namespace) -> int:
    from ...tools.circuits.tasks import all_tasks, find_task
    from ...tools.circuits.tasks.prepared import lexicon
    from ...tools.subject import load_subject
    from ..circuits.abilities import ability_row
    from ..progress import progress

    tasks = [find_task(args.task)] if args.task else list(all_tasks().values())
    rows: list[dict[str, Any]] = []
    with progress(quiet=args.quiet) as reporter:
        subject = load_subject(args.subject, device=args.device, dtype=args.dtype)
        words = lexicon(subject)
        for at, task in enumerate(tasks):
            reporter.update("tasks", at, len(tasks), unit="tasks", note=task.name)
            rows.append(ability_row(subject, task, args.prompts or PROMPTS, args.seed, words))
            if args.json:
                output.json_line(rows[-1])
        reporter.update("tasks", len(tasks), len(tasks), unit="tasks")
    if not args.json:
        _show_tasks(rows)
    return 0


def _show_tasks(rows: list[dict[str, Any]]) -> None:
    columns = ("task", "prompts", "accuracy", "top-1", "logit difference", "of the twins", "left out", "worth a search")
    cells = [
        (
            row["task"],
            row["n"],
            f"{row['accuracy']['value']:.3f} ({row['accuracy']['low']:.2f} to {row['accuracy']['high']:.2f})",
            f"{row['top']:.3f}",
            _interval(row["clean"]),
            _interval(row["corrupted"]),
            f"{sum(row['left_out'].values())} prompts, {len(row['words'])} words",
            "yes" if row["can"] else f"no: {row['why']}",
        )
        for row in rows
    ]
    output.table(columns, cells, right=columns[1:6])


def _interval(value: dict[str, float]) -> str:
    return f"{value['value']:+.2f} ({value['low']:+.2f} to {value['high']:+.2f})"
