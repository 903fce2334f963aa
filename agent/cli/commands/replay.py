"""`hubel replay`: recompute a run from its log, and report where the two differ."""

from __future__ import annotations

import argparse

from ...circuits.config import is_circuit
from ...runlog.config import find_run
from ...runlog.progress import progress
from .. import output
from ..circuit.runs import replay_of_circuit
from ..exit_status import DONE, FAILED
from ..run_outcome import summary

NAME = "replay"
HELP = "recompute a run from its log, without subject, API key or network"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run to replay."""
    parser.add_argument("run", help="name or folder of a run")


def run(args: argparse.Namespace) -> int:
    """Status 0 if everything recomputed equals the log, else 1."""
    from ...run.replay import replay

    folder = find_run(args.run, args.runs)
    if is_circuit(folder):
        return replay_of_circuit(folder, args)
    with progress(quiet=args.quiet) as reporter:
        result = replay(folder, reporter)
    if args.json:
        for row in result.rows:
            output.json_line(row)
    else:
        output.line(summary(result.rows))
        output.line(_verdict(result.mismatches, result.bitwise))
    for line in result.mismatches:
        output.note(f"hubel: mismatch: {line}")
    return FAILED if result.mismatches else DONE


def _verdict(mismatches: list[str], bitwise: bool) -> str:
    if mismatches:
        return f"{len(mismatches)} mismatches between the log and its recomputation"
    precision = "bit for bit" if bitwise else "to 1e-6"
    return f"the log holds: every recomputed row is the same {precision}"
