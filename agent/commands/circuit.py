"""`hubel circuit`: what can a subject do, which circuit does it, and what is that circuit worth?"""

from __future__ import annotations

import argparse
from typing import Any

from ...tools.errors import UsageError
from .. import options, output

NAME = "circuit"
HELP = "the circuit of a task: tasks, run, show"
INTERRUPTED = "stopped; nothing is lost: the same command goes on"

PROMPTS = 64
"""Prompts of a task in the table: its intervals are then a tenth wide."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, on which subject and task."""
    parser.add_argument("action", choices=("tasks",), help="tasks: what can the subject do at all?")
    parser.add_argument("--subject", default="smollm2-135m")
    parser.add_argument("--task", metavar="T", help="a task, or a .csv or .jsonl file of pairs (tasks: default all)")
    parser.add_argument("--prompts", type=int, metavar="N", help=f"prompts to ask (tasks: default {PROMPTS})")
    parser.add_argument("--seed", type=int, default=0)
    options.add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Do it; a task that the subject cannot do is an answer, not an error."""
    if args.prompts is not None and args.prompts < 1:
        raise UsageError(f"--prompts {args.prompts}: give at least 1")
    return _tasks(args)


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
