"""`hubel report`: one self-contained HTML file of a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import output
from ..config import find_run

NAME = "report"
HELP = "one self-contained HTML file of a run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run, and where to write."""
    parser.add_argument("run", help="a run's name, or its folder")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where to write (default: report.html in the run's folder)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the file and say where it is."""
    from ..report_of_run import write_report

    page = write_report(find_run(args.run, args.runs), args.out)
    if args.json:
        output.json_line({"report": str(page)})
    else:
        output.line(str(page))
    return 0
