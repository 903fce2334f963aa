"""`hubel resume`: go on with a run that was stopped, or try its failed targets again."""

from __future__ import annotations

import argparse

from ....tools.errors import UsageError
from ...circuits.config import is_circuit
from ...runlog.config import RunConfig, find_run
from ...runlog.progress import progress
from .. import options
from ..circuit.runs import finish_circuit
from ..run_outcome import finish
from .show import CALLS_ONLY

NAME = "resume"
HELP = "continue a run that was stopped"
INTERRUPTED = "stopped; nothing is lost: `hubel resume RUN` goes on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run, and limits in the place of those that it was made with."""
    parser.add_argument("run", help="a run's name, or its folder")
    parser.add_argument(
        "--neighbours", action="store_true",
        help="also record the targets' nearest units, of a run made before they were (loads the subject)",
    )  # fmt: skip
    options.add_budget(parser)


def run(args: argparse.Namespace) -> int:
    """Work on the run to its end; one that is done is shown again and costs nothing."""
    folder = find_run(args.run, args.runs)
    if is_circuit(folder):
        return finish_circuit(folder, args)
    if RunConfig.load(folder).explainer.name == CALLS_ONLY:
        raise UsageError(
            f"{args.run!r} is a log of `hubel mcp`, which has no targets to go on with: `hubel show {args.run}` shows "
            f"it, `hubel mcp --log {folder.name}` adds to it"
        )
    if args.neighbours:
        from ...run.execute import add_neighbours

        with progress(quiet=args.quiet) as reporter:
            add_neighbours(folder, reporter)
    limits = options.budgets(args)
    return finish(folder, args, limits=limits)
