"""`hubel import`: another tool's explanations as a set among the runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from ....tools.errors import UsageError
from ...exchange.registry import READ
from .. import output
from ..exit_status import DONE

NAME = "import"
HELP = "keep another tool's explanations among the runs, to show and to score"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to read, and under which name it is kept."""
    parser.add_argument("path", type=Path, help="file or folder of the other tool")
    parser.add_argument(
        "--name", required=True, metavar="N", help="name of the set, as `hubel show N` takes it"
    )
    parser.add_argument(
        "--from",
        dest="format",
        default="",
        metavar="FORMAT",
        help=f"{', '.join(READ)} (default: recognised)",
    )
    parser.add_argument(
        "--index",
        type=Path,
        metavar="I",
        help="compare units and tokens with the subject of this index",
    )
    parser.add_argument(
        "--as",
        dest="places",
        action="append",
        default=[],
        metavar="MODULE=PLACE",
        help="what a place of the file is here: layers.15.mlp=sae.NAME, or =mlp.15; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Read, check, and keep; nothing is kept of a file with a fault."""
    from ...exchange.import_files import import_files

    if Path(args.name).name != args.name or args.name.startswith("."):
        raise UsageError(f"--name {args.name!r}: give a name without a slash or a leading point")
    folder = args.runs / args.name
    imported = import_files(
        args.path, folder, format=args.format, index=args.index, units=_places(args.places)
    )
    if args.json:
        output.json_line(
            {**imported.head(), "units": len(imported), "explained": len(imported.explained)}
        )
        return DONE
    from ..imported_set import print_head

    print_head(folder, imported)
    return DONE


def _places(given: list[str]) -> dict[str, str]:
    """The values of --as; UsageError for one that is no pair."""
    pairs = [entry.partition("=") for entry in given]
    for entry, (module, _, place) in zip(given, pairs, strict=True):
        if not module or not place:
            raise UsageError(f"--as {entry!r}: write MODULE=PLACE, such as layers.15.mlp=sae.NAME")
    return {module: place for module, _, place in pairs}
