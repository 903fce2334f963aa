"""`hubel bench soak`: are a run's promises kept under kills, malformed answers, budgets and slow servers?"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...agent.cli import output
from ...agent.cli.exit_status import DONE, FAILED
from ...tools.errors import UsageError
from . import shared_options

if TYPE_CHECKING:
    from ...agent.runlog.progress import Reporter
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
    parser.add_argument(
        "--engine",
        default="local",
        choices=("local", "ray"),
        help="ray: instead of all that, indexes and runs on a Ray cluster on this machine that dies "
        "(default: local)",
    )
    parser.add_argument(
        "--cluster-kills",
        type=int,
        default=30,
        metavar="N",
        help="with --engine ray: kills of workers, nodes and drivers while indexes are made, and as many "
        "during runs (default: 30)",
    )
    shared_options.add_seed(parser)


def run(args: argparse.Namespace) -> int:
    """Soak, then print each promise and what was found; status 1 if a promise is broken."""
    from ...agent.runlog.progress import progress

    soak_it = _on_cluster if args.engine == "ray" else _in_one_process
    folder = Path(tempfile.mkdtemp(prefix="hubel-soak-"))
    try:
        with progress(quiet=args.quiet) as reporter:
            result = soak_it(folder, args, reporter)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _show(result, as_json=args.json)
    return DONE if result.kept else FAILED


def _in_one_process(folder: Path, args: argparse.Namespace, reporter: Reporter) -> SoakResult:
    from ..soak import Size, soak

    counts = (args.kills, args.shard_kills, args.malformed, args.flips, args.forgeries)
    if min(counts) < 0 or args.jobs < 1:
        raise UsageError(
            "--kills, --shard-kills, --malformed, --flips and --forgeries must be at least 0, --jobs "
            "at least 1"
        )
    batch_every = Size.batch_every if args.kills else 0
    size = Size(*counts, batch_every=batch_every, jobs=args.jobs, seed=args.seed)

    def report(step: str, done: int, total: int, unit: str) -> None:
        reporter.update(step, done, total, unit=unit)

    return soak(folder, size, report)


def _on_cluster(folder: Path, args: argparse.Namespace, reporter: Reporter) -> SoakResult:
    from ..soak.cluster_soak import cluster_result, soak_on_cluster

    kills = args.cluster_kills
    if kills < 0:
        raise UsageError(f"--cluster-kills {kills}: give at least 0")

    def count(step: str, n: int) -> None:
        reporter.update(step, n, kills, unit="kills")

    return cluster_result(soak_on_cluster(folder, kills, kills, args.seed, count))


def _show(result: SoakResult, *, as_json: bool) -> None:
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
    for line in _cluster_lines(result.figures) if "runs" in result.figures else ():
        output.line(line)
    if "kills" in result.figures:
        _show_counts(result.figures)
    for note in result.notes[:20]:
        output.line(note)


def _cluster_lines(figures: dict[str, Any]) -> Iterator[str]:
    """What was killed on a cluster, and how often."""
    indexes, runs = figures["indexes"], figures["runs"]
    yield (
        f"{_kinds(indexes['kills'])} while {indexes['indexes']} indexes were made, in "
        f"{indexes['seconds']:.0f} s; {indexes['deaths']} cost a piece"
    )
    yield (
        f"{_kinds(runs['by_kind'])} in {runs['runs']} runs, in {runs['seconds']:.0f} s; "
        f"{runs['of_models']} of them in runs of a language model, of whose {runs['calls']} requests "
        f"{runs['in_flight']} were in flight at a driver's kill and sent again"
    )


def _kinds(kills: Mapping[str, int]) -> str:
    kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(kills.items()))
    return f"{sum(kills.values())} kills ({kinds})"


def _show_counts(figures: dict[str, Any]) -> None:
    """What was done in one process."""
    from ..soak.flips import OUTCOMES

    kills, malformed = figures["kills"], figures["malformed"]
    output.line(
        f"{kills['killed_runs']} runs killed {kills['kills']} times; {kills['in_flight']} of "
        f"{kills['calls']} requests were in flight at a kill and sent again"
    )
    if shards := figures.get("shard_kills"):
        output.line(
            f"{shards['kills']} kills of shards and merges, {shards['of_merges']} of them of merges, in "
            f"{shards['indexes']} indexes of {shards['shards']} shards"
        )
    output.line(
        f"{malformed['answers']} malformed answers of {malformed['kinds']} kinds "
        f"({malformed['harmless']} of them harmless) in {malformed['runs']} runs failed "
        f"{malformed['failed']} targets"
    )
    if by_kind := figures["flips"]["by_kind"]:
        columns = ("flips in", *OUTCOMES)
        rows = [(kind, *counts.values()) for kind, counts in by_kind.items()]
        output.table(columns, rows, right=OUTCOMES)
