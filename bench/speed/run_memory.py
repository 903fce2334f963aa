"""Does peak memory grow with the number of a run's targets, to its end and when it is used afterwards?

Three numbers of targets, explained by lists of tokens, the cheapest explainer: what a target leaves
behind does not depend on how it was found. Every command is a new process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...tools.index import Index
from .rows import SpeedRow

if TYPE_CHECKING:
    from .speed_bench import SpeedBench

TARGETS = (100, 400, 1600)
CONTEXTS = 500
"""Of each split."""
AFTERWARDS = ("show", "report", "verify", "resume", "replay")


def run_memory(bench: SpeedBench) -> Iterator[SpeedRow]:
    """Runs, and commands on them."""
    layer = min(site.layer for site in Index.open(bench.index).sites if site.kind == "mlp")
    for n in TARGETS:
        run = f"memory-{n}"
        for command in ("run", *AFTERWARDS):
            name = f"memory of {command}, {n:,} targets"
            bench.reporter.say(name)
            options: tuple[str, ...] = (run,)
            if command == "run":
                targets = f"mlp.{layer}~{n - n // 2}@16,mlp.{layer + 1}~{n // 2}@16"
                options = (
                    *("--index", str(bench.index), "--targets", targets, "--name", run),
                    *("--explainer", "ten-tokens", "--rotated", "0"),
                    *("--max-contexts", str(CONTEXTS), "--device", bench.device),
                    *("--dtype", bench.dtype),
                )
            elif command == "report":
                options = (run, "--out", str(bench.folder / f"{run}.html"))
            cost = bench.hubel(command, *options)
            figures = {"peak_rss_mb": cost.peak_mb}
            yield SpeedRow(name, cost.wall_seconds, cost.cpu_seconds, figures)
