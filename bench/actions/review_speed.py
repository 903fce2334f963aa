"""`hubel bench review`: how fast the review page is on a run of many targets."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from ...agent.cli import output
from ...agent.runlog.progress import progress
from ..review_speed import MEMORY_MB, Speed, review_speed

TARGETS = 100_000


def run_review_speed(args: argparse.Namespace) -> int:
    """Make a run in a temporary folder (or in `--name` under the runs folder, which is kept), measure, print."""
    targets = TARGETS if args.targets is None else args.targets
    with tempfile.TemporaryDirectory() as temporary, progress(quiet=args.quiet) as reporter:
        folder = args.runs / args.name if args.name else Path(temporary) / f"made-{targets}"
        found = review_speed(folder, targets, reporter, args.seed)
    if args.json:
        for timing in found.timings:
            output.json_line(timing._asdict())
        output.json_line({"summary": {k: v for k, v in found._asdict().items() if k != "timings"}})
    else:
        _show(found)
    return 0


def _show(found: Speed) -> None:
    rows = [
        (t.what, t.requests, *(None if ms is None else f"{ms:.0f}" for ms in t[2:]))
        for t in found.timings
    ]
    output.table(("what", "requests", "median ms", "slowest ms", "CPU ms", "asked for"), rows)
    memory = "unknown" if found.peak_mb is None else f"{found.peak_mb:,.0f} MB"
    output.line(
        f"{found.targets:,} targets; the log was read in {found.read_seconds:.0f} s; peak memory: {memory}, "
        f"asked for {MEMORY_MB:,} MB"
    )
