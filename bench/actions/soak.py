"""`hubel bench soak`: are a run's promises kept under kills, malformed answers, budgets and slow servers?"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ...agent.cli import output
from ...agent.cli.exit_status import DONE, FAILED
from ...tools.errors import UsageError
from . import shared_options

if TYPE_CHECKING:
    from ..soak import SoakResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How much is tried."""
    parser.add_argument(
        "--kills", type=int, default=500, metavar="N", help="runs to kill (default: 500)"
    )
    parser.add_argument(
        "--shard-kills",
        type=int,
        default=200,
        metavar="N",
        help="processes to kill that make or merge shards of an index (default: 200)",
    )
    parser.add_argument(
        "--malformed",
        type=int,
        default=10_000,
        metavar="N",
        help="malformed answers to give (default: 10000)",
    )
    parser.add_argument(
        "--flips",
        type=int,
        default=500,
        metavar="N",
        help="bits to flip in files of runs, indexes and the cache (default: 500)",
    )
    parser.add_argument(
        "--forgeries",
        type=int,
        default=10_000,
        metavar="N",
        help="kinds of values to change in a run's log with a new chain (default: all, some hundred)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=2,
        metavar="N",
        help="runs that are killed at the same time (default: 2)",
    )
    shared_options.add_seed(parser)


def run(args: argparse.Namespace) -> int:
    """Soak, then print each promise and what was found; status 1 if a promise is broken."""
    from ...agent.runlog.progress import progress
    from ..soak import Size, soak

    counts = (args.kills, args.shard_kills, args.malformed, args.flips, args.forgeries)
    if min(counts) < 0 or args.jobs < 1:
        raise UsageError(
            "--kills, --shard-kills, --malformed, --flips and --forgeries must be at least 0, --jobs "
            "at least 1"
        )
    batch_every = Size.batch_every if args.kills else 0
    size = Size(*counts, batch_every=batch_every, jobs=args.jobs, seed=args.seed)
    folder = Path(tempfile.mkdtemp(prefix="hubel-soak-"))
    try:
        with progress(quiet=args.quiet) as reporter:

            def report(step: str, done: int, total: int, unit: str) -> None:
                reporter.update(step, done, total, unit=unit)

            result = soak(folder, size, report)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _show(result, as_json=args.json)
    return DONE if result.kept else FAILED


def _show(result: SoakResult, *, as_json: bool) -> None:
    from ..soak.flips import OUTCOMES

    if as_json:
        for promise in result.promises:
            output.json_line(vars(promise))
        totals = result.figures | {"kept": result.kept, "notes": result.notes[:50]}
        output.json_line({"summary": totals})
        return
    cells = [
        (
            promise.what,
            f"{promise.found:.3g}" if isinstance(promise.found, float) else promise.found,
            promise.promised,
            "yes" if promise.kept else "NO",
        )
        for promise in result.promises
    ]
    output.table(("promise", "found", "promised", "kept"), cells, right=("found", "promised"))
    kills, malformed = result.figures["kills"], result.figures["malformed"]
    output.line(
        f"{kills['killed_runs']} runs killed {kills['kills']} times; {kills['in_flight']} of "
        f"{kills['calls']} requests were in flight at a kill and sent again"
    )
    if shards := result.figures.get("shard_kills"):
        output.line(
            f"{shards['kills']} kills of shards and merges, {shards['of_merges']} of them of merges, in "
            f"{shards['indexes']} indexes of {shards['shards']} shards"
        )
    output.line(
        f"{malformed['answers']} malformed answers of {malformed['kinds']} kinds "
        f"({malformed['harmless']} of them harmless) in {malformed['runs']} runs failed "
        f"{malformed['failed']} targets"
    )
    if by_kind := result.figures["flips"]["by_kind"]:
        columns = ("flips in", *OUTCOMES)
        rows = [(kind, *counts.values()) for kind, counts in by_kind.items()]
        output.table(columns, rows, right=OUTCOMES)
    for note in result.notes[:20]:
        output.line(note)
