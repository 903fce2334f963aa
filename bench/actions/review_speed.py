"""`hubel bench review`: how fast is the review page on a run of many targets?"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ...agent.cli import output
from ...agent.cli.exit_status import DONE
from . import shared_options

if TYPE_CHECKING:
    from ..review_speed import ReviewSpeed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How large the synthetic run is."""
    parser.add_argument(
        "--targets",
        type=int,
        default=100_000,
        metavar="N",
        help="targets of the synthetic run (default: 100000)",
    )
    shared_options.add_name(parser, "a temporary folder, deleted afterwards")
    shared_options.add_seed(parser)


def run(args: argparse.Namespace) -> int:
    """Write a synthetic run, time the page's requests, and print them.

    With `--name` the run stays in the runs folder.
    """
    from ...agent.runlog.progress import progress
    from ..review_speed import review_speed

    with tempfile.TemporaryDirectory() as temporary, progress(quiet=args.quiet) as reporter:
        default = Path(temporary) / f"made-{args.targets}"
        folder = args.runs / args.name if args.name else default
        speed = review_speed(folder, args.targets, reporter, args.seed)
    if args.json:
        for timing in speed.timings:
            output.json_line(timing._asdict())
        totals = {key: value for key, value in speed._asdict().items() if key != "timings"}
        output.json_line({"summary": totals})
    else:
        _show(speed)
    return DONE


def _show(speed: ReviewSpeed) -> None:
    from ..review_speed import MEMORY_MB

    cells = [
        (timing.what, timing.requests, *(None if ms is None else f"{ms:.0f}" for ms in timing[2:]))
        for timing in speed.timings
    ]
    output.table(("what", "requests", "median ms", "slowest ms", "CPU ms", "asked for"), cells)
    memory = "unknown" if speed.peak_mb is None else f"{speed.peak_mb:,.0f} MB"
    output.line(
        f"{speed.targets:,} targets; the log was read in {speed.read_seconds:.0f} s; "
        f"peak memory {memory}, limit {MEMORY_MB:,} MB"
    )
