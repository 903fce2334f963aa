"""`hubel resume`: continue a run that was stopped, or retry its failed targets."""

from __future__ import annotations

import argparse

from ....tools.errors import UsageError
from ...circuits.config import is_circuit
from ...exchange.config import refuse_imported
from ...runlog.config import RunConfig, find_run
from ...runlog.progress import progress
from ...studies.config import is_study
from .. import options
from ..circuit.runs import finish_circuit
from ..run_outcome import finish
from ..study.tables import finish_study
from .show import CALLS_ONLY

NAME = "resume"
HELP = "continue a run that was stopped"
INTERRUPTED = "stopped; nothing is lost: the same command continues it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run, and limits that replace those it was made with."""
    parser.add_argument("run", help="name or folder of a run")
    parser.add_argument(
        "--neighbours",
        action="store_true",
        help="also record nearest units, for runs made before this was recorded (loads the subject)",
    )
    options.add_budget(parser)
    options.add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Execute the run to its end; a finished one is only printed again, at no cost."""
    folder = find_run(args.run, args.runs)
    refuse_imported(folder, NAME)
    choice = options.engine(args)
    if choice.name != "local" and is_study(folder):
        raise UsageError(
            f"--engine {choice.name}: {args.run!r} is a study, which is measured in one process: "
            "leave the option out"
        )
    if is_circuit(folder):
        return finish_circuit(folder, args)
    if is_study(folder):
        return finish_study(folder, args)
    if RunConfig.load(folder).explainer.name == CALLS_ONLY:
        raise UsageError(
            f"{args.run!r} is a log of `hubel mcp`, which has no targets to continue: "
            f"`hubel show {args.run}` prints it, `hubel mcp --log {folder.name}` adds to it"
        )
    if args.neighbours:
        from ...run.execute import add_neighbours

        with progress(quiet=args.quiet) as reporter:
            add_neighbours(folder, reporter)
    return finish(folder, args, limits=options.budgets(args), choice=choice)
