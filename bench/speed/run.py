"""A run as a user starts it: `hubel run` in its own process, with an activation store and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...agent.runlog.log import RunLog
from ...agent.runlog.phases import EVENT
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
    phases = cpu_by_phase(bench.runs / run, cost.cpu_seconds)
    return SpeedRow(name, cost.wall_seconds, cost.cpu_seconds, figures, phases)


def cpu_by_phase(run: Path, total: float) -> dict[str, float]:
    """CPU seconds of a run that was executed once, by phase; investigations by their steps.

    Args:
        total: CPU seconds of the whole process; what is after the last phase becomes "end".
    """
    (timing,) = RunLog(run, writable=False).all(EVENT).values()
    spent = {"start": timing["cpu_seconds_before"]}
    steps = {step["name"]: step["cpu_seconds"] for step in timing["steps"]}
    for phase in timing["phases"]:
        seconds = phase["cpu_seconds"]
        if phase["name"] == "explain":
            spent |= steps
            seconds = max(0.0, seconds - sum(steps.values()))  # importing and running the graph
        spent[phase["name"]] = seconds
    return spent | {"end": max(0.0, total - sum(spent.values()))}
