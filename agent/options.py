"""Options that several commands share, so that they are spelled and explained the same everywhere."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

DTYPES = ("float32", "bfloat16", "float16")


def default_runs() -> Path:
    """Where runs live: HUBEL_RUNS, else ./runs."""
    return Path(os.environ.get("HUBEL_RUNS") or "runs")


def add_common(parser: argparse.ArgumentParser) -> None:
    """What every command takes; `agent.cli` adds these before the command's own."""
    group = parser.add_argument_group("common")
    group.add_argument("--json", action="store_true", help="standard output holds one JSON object a line, nothing else")
    group.add_argument(
        "--runs",
        type=Path,
        default=default_runs(),
        metavar="DIR",
        help="where runs live (default: ./runs, or HUBEL_RUNS)",
    )
    group.add_argument("--quiet", "-q", action="store_true", help="no progress on standard error")
    group.add_argument(
        "--debug",
        action="store_true",
        default=bool(os.environ.get("HUBEL_DEBUG")),
        help="show the traceback of an error (or HUBEL_DEBUG=1)",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where and in what precision a subject runs."""
    group = parser.add_argument_group("subject")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    group.add_argument("--dtype", default="float32", choices=DTYPES, help="precision of the subject (default: float32)")
