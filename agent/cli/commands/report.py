"""`hubel report`: the review page of a run as one self-contained HTML file, or as a folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from ....tools.errors import UsageError
from ...exchange.config import refuse_imported
from ...runlog.config import find_run
from .. import output
from ..exit_status import DONE
from ..readable_run import readable_run

NAME = "report"
HELP = "write a run as one self-contained HTML file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run, and where to write."""
    parser.add_argument("run", help="name or folder of a run")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="file or folder to write (default: report.html or report/ in the run's folder)",
    )
    parser.add_argument(
        "--folder",
        action="store_true",
        help="write a folder for a web server, with one file per target: for large runs",
    )


def run(args: argparse.Namespace) -> int:
    """Write the report and print its path."""
    from ...review.report import write_folder, write_report

    folder = find_run(args.run, args.runs)
    if args.out is not None and args.out.is_dir() and not args.folder:
        raise UsageError(f"--out {args.out} is a folder; name a file, or give --folder")
    refuse_imported(folder, NAME)
    with readable_run(folder):
        write = write_folder if args.folder else write_report
        page = write(folder, args.out)
    if args.json:
        output.json_line({"report": str(page)})
    else:
        output.line(str(page))
    return DONE
