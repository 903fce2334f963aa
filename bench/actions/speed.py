"""`hubel bench speed`: what things cost in CPU and wall seconds; `--peers` compares other libraries."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...agent.cli import output
from ...agent.cli.exit_status import DONE
from ...tools.errors import UsageError
from . import shared_options
from .other_libraries import run_peers

if TYPE_CHECKING:
    from ..speed.parts import Row
    from ..speed.rows import SpeedRow


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is timed, on which subject."""
    shared_options.add_subject(parser)
    shared_options.add_corpus(parser)
    parser.add_argument(
        "--only",
        metavar="P,P",
        help="parts to measure (default: all, about an hour on two cores; an unknown name lists them)",
    )
    parser.add_argument(
        "--index",
        type=Path,
        metavar="I",
        help="index with an activation store for the parts that read one (default: one is built)",
    )
    parser.add_argument(
        "--max-tokens",
        type=int,
        metavar="N",
        help="tokens of the corpus in an index that is built (default: all)",
    )
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        help="draw where the time of the runs goes, as SVG (needs a part that makes runs)",
    )
    parser.add_argument(
        "--peers",
        action="store_true",
        help="compare with nnsight, TransformerLens and captum instead (pip install hubel[oracles])",
    )
    parser.add_argument(
        "--layers",
        metavar="L,L|all",
        help="with --peers: layers whose heads are patched (default: three of them)",
    )


def run(args: argparse.Namespace) -> int:
    """Measure the parts one after the other, and print their rows."""
    if args.peers:
        return run_peers(args)
    from ..speed.parts import PARTS

    names = _choose(args.only, PARTS)
    if args.picture and not {"run", "long-run", "verdicts"} & set(names):
        raise UsageError("--picture draws runs; give --only run, long-run or verdicts with it")
    import torch

    from ...agent.runlog.progress import progress
    from ..speed.speed_bench import SpeedBench

    torch.set_num_threads(1)
    rows: list[Row] = []
    with (
        progress(quiet=args.quiet) as reporter,
        tempfile.TemporaryDirectory(prefix="hubel-speed-") as folder,
    ):
        bench = SpeedBench(
            args.subject,
            args.corpus,
            args.device,
            args.dtype,
            args.index,
            args.max_tokens,
            Path(folder),
            reporter,
        )
        for name in names:
            reporter.say(f"{name}: {PARTS[name].what}")
            for row in PARTS[name].measure(bench):
                rows.append(row)
                if args.json:
                    output.json_line({"part": name, **row.to_json()})
                else:  # the tables come last, and a stopped bench has shown what it measured
                    reporter.say(row.line())
    if not args.json:
        _show(rows)
    if args.picture:
        _draw(rows, args.picture)
    return DONE


def _choose(only: str | None, known: Collection[str]) -> list[str]:
    """The parts to measure, in their order."""
    names = list(known) if only is None else [name.strip() for name in only.split(",")]
    if unknown := next((name for name in names if name not in known), None):
        raise UsageError(f"--only {unknown!r} given; choose from {', '.join(known)}")
    return [name for name in known if name in names]


def _show(rows: Sequence[Row]) -> None:
    """A table of the ratios, and one of everything else."""
    from ..speed.ratios import SpeedComparison
    from ..speed.rows import SpeedRow

    if ratios := [row for row in rows if isinstance(row, SpeedComparison)]:
        columns = ("what", "CPU s", "naive CPU s", "times faster", "the naive way")
        cells = [
            (row.name, f"{row.ours:.3f}", f"{row.naive:.3f}", f"{row.ratio:.1f}", row.naive_way)
            for row in ratios
        ]
        output.table(columns, cells, right=columns[1:4])
    if others := [row for row in rows if isinstance(row, SpeedRow)]:
        columns = ("what", "wall s", "CPU s", "figures")
        cells = [
            (row.name, f"{row.wall_seconds:.1f}", f"{row.cpu_seconds:.1f}", _figures(row))
            for row in others
        ]
        output.table(columns, cells, right=columns[1:3])


def _draw(rows: Sequence[Row], path: Path) -> None:
    from ...tools.files import atomic_file, writing
    from ..speed.rows import SpeedRow
    from ..speed.timeline import TimelineBar, draw_timeline

    bars = [
        TimelineBar(row.name, row.phases)
        for row in rows
        if isinstance(row, SpeedRow) and row.phases
    ]
    with writing(path.parent), atomic_file(path) as part:
        part.write_text(draw_timeline("CPU seconds of runs, by phase", bars), encoding="utf-8")


def _figures(row: SpeedRow) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {value:,.4g}" for name, value in row.figures.items()
    )
