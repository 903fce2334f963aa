"""Does peak memory grow with tokens, layers or targets? Three values of each, each in a new process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .rows import SpeedRow
from .run import time_run

if TYPE_CHECKING:
    from .speed_bench import SpeedBench

POINTS = ((2048, 2), (4096, 2), (8192, 2), (2048, 4), (2048, 8))
"""Tokens and layers: three of each, with the other fixed."""
TARGETS = (4, 16, 64)


def peak_memory(bench: SpeedBench) -> Iterator[SpeedRow]:
    """Indexes with a store, then runs that read from one."""
    for tokens, layers in POINTS:
        yield _index(bench, tokens, layers)
    for n in TARGETS:
        yield time_run(bench, bench.index, f"mlp.*~{n}@16", f"memory of a run of {n} targets")


def _index(bench: SpeedBench, tokens: int, layers: int) -> SpeedRow:
    name = f"memory of an index of {tokens:,} tokens and {layers} layers"
    bench.reporter.say(name)
    cost = bench.hubel(
        *("index", "--subject", bench.subject_name, "--corpus", bench.corpus),
        *("--max-tokens", str(tokens), "--layers", f"0-{layers - 1}", "--store", "all"),
        *("--out", str(bench.folder / f"index-{tokens}-{layers}")),
        *("--device", bench.device, "--dtype", bench.dtype),
    )
    return SpeedRow(name, cost.wall_seconds, cost.cpu_seconds, {"peak_rss_mb": cost.peak_mb})
