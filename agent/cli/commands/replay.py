"""`hubel replay`: recompute a run from its log, and report where the two differ."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ...circuits.config import is_circuit
from ...exchange.config import refuse_imported
from ...runlog.config import find_run
from ...runlog.progress import progress
from ...studies.config import is_study
from .. import output
from ..circuit.runs import replay_of_circuit
from ..exit_status import DONE, FAILED
from ..study.tables import replay_of_study
from ..targets_table import summary

if TYPE_CHECKING:
    from ...run.replay import Replay

NAME = "replay"
HELP = "recompute a run from its log, without subject, API key or network"
SHOWN_MISMATCHES = 20
"""Mismatches that are printed one by one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run to replay."""
    parser.add_argument("run", help="name or folder of a run")


def run(args: argparse.Namespace) -> int:
    """Status 0 if everything recomputed equals the log, else 1."""
    from ...run.replay import replay

    folder = find_run(args.run, args.runs)
    refuse_imported(folder, NAME)
    if is_circuit(folder):
        return replay_of_circuit(folder, args)
    if is_study(folder):
        return replay_of_study(folder, args)
    with progress(quiet=args.quiet) as reporter:
        result = replay(folder, reporter)
    if args.json:
        for row in result.rows:
            output.json_line(row)
    else:
        output.line(summary(result.rows))
        output.line(_verdict(result.mismatches, result.bitwise))
        for line in _coverage(result):
            output.line(line)
    for line in result.mismatches[:SHOWN_MISMATCHES]:
        output.note(f"hubel: mismatch: {line}")
    if (more := len(result.mismatches) - SHOWN_MISMATCHES) > 0:
        output.note(f"hubel: and {more} more mismatches")
    return FAILED if result.mismatches else DONE


def _verdict(mismatches: list[str], bitwise: bool) -> str:
    if mismatches:
        return f"{len(mismatches)} mismatches between the log and its recomputation"
    precision = "bit for bit" if bitwise else "to 1e-6"
    return f"the log holds: every recomputed row is the same {precision}"


def _coverage(result: Replay) -> list[str]:
    """What was not computed again, and what covers it."""
    others = f"{counts(result.not_computed)}, config.toml"
    lines = [
        f"recomputed: {counts(result.computed)}",
        f"not recomputed, covered by their hashes: {others}"
        if result.has_hashes
        else f"not checked, as the run was made before there were hashes: {others}",
    ]
    if result.written_otherwise:
        lines.append(
            "recomputed with other content than in the log, outside of the table; an earlier "
            "program may have written them so: " + counts(result.written_otherwise)
        )
    return lines


def counts(kinds: dict[str, int]) -> str:
    """``69 call, 5 explainer_call``."""
    return ", ".join(f"{number:,} {kind}" for kind, number in sorted(kinds.items())) or "nothing"
