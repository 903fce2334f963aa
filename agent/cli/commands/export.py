"""`hubel export`: a run's explanations in the files of another tool, or as a table."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...exchange.registry import WRITTEN
from ...runlog.config import find_run
from .. import output
from ..exit_status import DONE
from ..readable_run import readable_run

NAME = "export"
HELP = "write a run's explanations in the files of another tool, or as a table"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to write, and where."""
    parser.add_argument("run", help="name or folder of a run, or of an imported set")
    parser.add_argument(
        "--to",
        required=True,
        metavar="FORMAT",
        help=f"{', '.join(WRITTEN)} (docs/exchange.md says what each can hold)",
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="PATH", help="new file or folder to write"
    )


def run(args: argparse.Namespace) -> int:
    """Write, then say what the format has no room for."""
    from ...exchange.export_run import export_run

    folder = find_run(args.run, args.runs)
    with readable_run(folder):
        exported = export_run(folder, args.to, args.out)
    if args.json:
        output.json_line(
            {
                "path": str(exported.path),
                "format": exported.format.name,
                "units": exported.units,
                "explained": exported.explained,
                "left_out": exported.left_out,
            }
        )
        return DONE
    explained = output.count(exported.explained, "explanation")
    output.line(f"{exported.path}: {explained} of {output.count(exported.units, 'unit')}")
    if exported.left_out:
        output.line(f"not in it, since {exported.format.title} has no room for it:")
    for line in exported.left_out:
        output.line(f"  {line}")
    return DONE
