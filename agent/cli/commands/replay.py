"""`hubel replay`: compute a run again from its log, and say where the log and the computation differ."""

from __future__ import annotations

import argparse
import sys

from ....tools.files.untrusted_text import escape_control
from ...circuits.config import is_circuit
from ...runlog.config import find_run
from ...runlog.progress import progress
from .. import output
from ..circuit.runs import replay_of_circuit
from ..run_outcome import summary

NAME = "replay"
HELP = "recompute a run from its log, without subject, API key or network"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run."""
    parser.add_argument("run", help="a run's name, or its folder")


def run(args: argparse.Namespace) -> int:
    """0 when everything computed anew is what the log says, 1 when something is not."""
    from ...run.replay import replay

    folder = find_run(args.run, args.runs)
    if is_circuit(folder):
        return replay_of_circuit(folder, args)
    with progress(quiet=args.quiet) as reporter:
        found = replay(folder, reporter)
    if args.json:
        for row in found.rows:
            output.json_line(row)
    else:
        output.line(summary(found.rows))
        output.line(_verdict(found.mismatches, found.bitwise))
    for line in found.mismatches:
        sys.stderr.write(f"hubel: mismatch: {escape_control(line)}\n")
    return 1 if found.mismatches else 0


def _verdict(mismatches: list[str], bitwise: bool) -> str:
    if mismatches:
        return f"{len(mismatches)} mismatches between the log and what it computes to"
    return "the log holds: every row computed anew is the same " + (
        "bit for bit" if bitwise else "to 1e-6"
    )
