"""A run as a user starts it: `hubel run` in its own process, with an activation store and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .rows import SpeedRow

if TYPE_CHECKING:
    from pathlib import Path

    from .speed_bench import SpeedBench

FOUR, MANY = "mlp.*~4@16", "mlp.*~200@16"
N_MANY = 200


def short_run(bench: SpeedBench) -> Iterator[SpeedRow]:
    """Four targets that nothing is known about."""
    yield time_run(bench, bench.index, FOUR, "run of 4 new targets")
    yield time_run(bench, bench.index_without_store, FOUR, "run of 4 new targets, no store")


def long_run(bench: SpeedBench) -> Iterator[SpeedRow]:
    """200 targets, by target."""
    yield time_run(bench, bench.index, MANY, f"run of {N_MANY} new targets", N_MANY)


def time_run(bench: SpeedBench, index: Path, targets: str, name: str, n: int = 0) -> SpeedRow:
    """Make a run and execute it to its end.

    Args:
        n: number of its targets, for the seconds a target; 0 leaves them out.
    """
    bench.reporter.say(name)
    run = name.replace(" ", "-").replace(",", "")
    options = ("--device", bench.device, "--dtype", bench.dtype)
    cost = bench.hubel("run", "--index", str(index), "--targets", targets, "--name", run, *options)
    figures = {"peak_rss_mb": cost.peak_mb}
    if n:
        figures["cpu_seconds_a_target"] = cost.cpu_seconds / n
    return SpeedRow(name, cost.wall_seconds, cost.cpu_seconds, figures)
