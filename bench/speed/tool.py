"""Instruments as a person calls them at the desk: `hubel tool` in a new process each time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .rows import SpeedRow

if TYPE_CHECKING:
    from .speed_bench import SpeedBench

REPEATS = 3
"""The fastest counts: the first call may read the files from a cold disk."""
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CALLS = {
    "activations.search, cold": ("activations.search", "text=He has not been seen since Sunday"),
    "units.matching, cold: weekdays": ("units.matching", f"words={json.dumps(DAYS)}"),
    "activations.statistics, cold, needs no subject": ("activations.statistics", "unit=mlp.1.0"),
}


def cold_tools(bench: SpeedBench) -> Iterator[SpeedRow]:
    """One that runs the subject, one that reads the store, and one that needs neither."""
    for name, arguments in CALLS.items():
        bench.reporter.say(name)
        index = str(bench.index)
        costs = [bench.hubel("tool", *arguments, "--index", index) for _ in range(REPEATS)]
        best = min(costs, key=lambda cost: cost.wall_seconds)
        figures = {"peak_rss_mb": best.peak_mb}
        yield SpeedRow(name, best.wall_seconds, best.cpu_seconds, figures)
