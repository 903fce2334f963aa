"""`hubel verify`: compare a run with the hashes in its log."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ...runlog.config import find_run
from .. import output
from ..exit_status import DONE, FAILED

if TYPE_CHECKING:
    from ...run.verify_run import Verification

NAME = "verify"
HELP = "check the chain of a run's events and the hashes of its files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run to verify."""
    parser.add_argument(
        "run", help="name or folder of a run, of a circuit or of a log of `hubel mcp`"
    )


def run(args: argparse.Namespace) -> int:
    """Status 0 if everything holds or nothing is recorded, else 1."""
    from ...run.verify_run import verify_run

    verification = verify_run(find_run(args.run, args.runs))
    if args.json:
        output.json_line(vars(verification))
    else:
        output.line(_summary(verification))
        for note in verification.notes:
            output.line(note)
    for problem in verification.problems:
        output.note(f"hubel: {problem}")
    return DONE if verification.holds else FAILED


def _summary(verification: Verification) -> str:
    if not verification.holds:
        number = len(verification.problems)
        return f"{verification.run} does not hold: {number} problem{'s' if number > 1 else ''}"
    if not verification.head:
        return f"{verification.run}: nothing to verify"
    seal = "sealed" if verification.sealed else "not sealed"
    files = output.count(verification.files, "file")
    return (
        f"{verification.run} holds: {verification.events:,} events and {files} are "
        f"as they were written, {seal}; head {verification.head}"
    )
