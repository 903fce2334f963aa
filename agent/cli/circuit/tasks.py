"""`hubel circuit tasks`: which tasks a subject can do, and hence which circuits are worth a search."""

from __future__ import annotations

import argparse
from typing import Any

from ....tools.errors import UsageError
from .. import options, output

PROMPTS = 64
"""Prompts for each task; with so many, intervals are about a tenth wide."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subject and the tasks."""
    add_subject(parser, PROMPTS)
    parser.add_argument(
        "--task",
        metavar="T",
        help="one task, or a .csv, .tsv, .jsonl or .parquet file of pairs (default: all tasks)",
    )


def add_subject(parser: argparse.ArgumentParser, prompts: int) -> None:
    """Declare the subject, the number of prompts, and their seed."""
    parser.add_argument(
        "--subject", default="smollm2-135m", help="the subject (default: smollm2-135m)"
    )
    parser.add_argument(
        "--prompts",
        type=int,
        default=prompts,
        metavar="N",
        help=f"number of prompts (default: {prompts})",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed for the prompts (default: 0)")
    options.add_device(parser)


def check_prompts(args: argparse.Namespace) -> None:
    """Raise UsageError for fewer than one prompt."""
    if args.prompts < 1:
        raise UsageError(f"--prompts {args.prompts}: give at least 1")


def run(args: argparse.Namespace) -> int:
    """Print one row per task."""
    from ....tools.circuits.tasks import all_tasks, find_task
    from ....tools.circuits.tasks.prepared import lexicon
    from ....tools.subject import load_subject
    from ...circuits.tables.ability import ability_row
    from ...runlog.progress import progress

    check_prompts(args)
    tasks = [find_task(args.task)] if args.task else list(all_tasks().values())
    rows: list[dict[str, Any]] = []
    with progress(quiet=args.quiet) as reporter:
        subject = load_subject(
            args.subject, device=args.device, dtype=args.dtype, progress=reporter.say
        )
        words = lexicon(subject)
        for done, task in enumerate(tasks):
            reporter.update("tasks", done, len(tasks), unit="tasks", note=task.name)
            rows.append(ability_row(subject, task, args.prompts, args.seed, words))
            if args.json:
                output.json_line(rows[-1])
        reporter.update("tasks", len(tasks), len(tasks), unit="tasks")
    if not args.json:
        _show(rows)
    return 0


def _show(rows: list[dict[str, Any]]) -> None:
    columns = (
        "task",
        "prompts",
        "accuracy",
        "top-1",
        "logit difference",
        "of the twins",
        "left out",
        "worth a search",
    )
    output.table(columns, [_cells(row) for row in rows], right=columns[1:6])


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    accuracy = row["accuracy"]
    return (
        row["task"],
        row["n"],
        f"{accuracy['value']:.3f} ({accuracy['low']:.2f} to {accuracy['high']:.2f})",
        f"{row['top']:.3f}",
        _interval(row["clean"]),
        _interval(row["corrupted"]),
        f"{sum(row['left_out'].values())} prompts, {len(row['words'])} words",
        "yes" if row["can"] else f"no: {row['why']}",
    )


def _interval(value: dict[str, float]) -> str:
    return f"{value['value']:+.2f} ({value['low']:+.2f} to {value['high']:+.2f})"
