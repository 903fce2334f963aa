"""`hubel resume`: go on with a run that was stopped, or try its failed targets again."""

from __future__ import annotations

import argparse

from ..config import find_run
from ._work import finish

NAME = "resume"
HELP = "go on with a run that was stopped"
INTERRUPTED = "stopped; nothing is lost: `hubel resume RUN` goes on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run."""
    parser.add_argument("run", help="a run's name, or its folder")


def run(args: argparse.Namespace) -> int:
    """Work on the run to its end; one that is done is shown again and costs nothing."""
    return finish(find_run(args.run, args.runs), args)
