"""`hubel bench reading`: two systems' sentences, graded by a reader who does not know whose they are."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...agent.cli import output
from ...agent.cli.exit_status import DONE
from ...tools.errors import UsageError
from . import shared_options

if TYPE_CHECKING:
    from ...evals.statistics.bootstrap import Interval
    from ..reading import ReadingResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose sentences, on how many targets, and where the reading is."""
    parser.add_argument(
        "systems",
        nargs="*",
        metavar="RUN | TABLE",
        help="two runs or tables of explanations of the same targets; without any, the grades in "
        "--out are read",
    )
    parser.add_argument(
        "--run", metavar="RUN", help="run with the activations of a table's targets"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of page, grades and key"
    )
    parser.add_argument(
        "--targets", type=int, default=40, metavar="N", help="targets to draw (default: 40)"
    )
    shared_options.add_seed(parser)


def run(args: argparse.Namespace) -> int:
    """Write a reading, or print what its grades say."""
    from ...agent.rescoring.sources import open_source
    from ...agent.rescoring.tables import is_table
    from ..reading import GRADES, PAGE, draw_pairs, read_grades, write_reading

    if not args.systems:
        _show(read_grades(args.out), args)
        return DONE
    if len(args.systems) != 2:
        raise UsageError(f"{len(args.systems)} systems given; give two, or none to read the grades")
    if args.targets < 1:
        raise UsageError(f"--targets {args.targets}: give at least 1")
    sources = [
        open_source(name, args.runs, run=args.run if is_table(Path(name)) else None)
        for name in args.systems
    ]
    first, second = sources
    pairs = draw_pairs(first, second, args.targets, args.seed)
    write_reading(pairs, args.out, first.folder, args.seed)
    output.note(
        f"{len(pairs)} targets in {args.out / PAGE}: fill in {args.out / GRADES}, then "
        f"hubel bench reading --out {args.out}"
    )
    return DONE


def _show(results: Sequence[ReadingResult], args: argparse.Namespace) -> None:
    if args.json:
        for result in results:
            means = {name: mean and mean._asdict() for name, mean in result.means.items()}
            difference = result.difference.difference._asdict()
            row = {"scale": result.scale, "means": means, "difference": difference}
            output.json_line(row | {"p": result.difference.p, "targets": result.difference.pairs})
        return
    names = list(results[0].means)
    columns = ("grade", *names, "difference", "p", "targets")
    cells = [
        (
            result.scale,
            *(_interval(result.means[name]) for name in names),
            _interval(result.difference.difference),
            f"{result.difference.p:.2g}",
            result.difference.pairs,
        )
        for result in results
    ]
    output.table(columns, cells, right=columns[1:])


def _interval(interval: Interval | None) -> str | None:
    if interval is None or interval.low is None:
        return None if interval is None else f"{interval.value:.2f}"
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
