"""Does peak memory of shards and of their merge grow with tokens or with their number?

Three values of each. Every shard and every merge is a new process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .rows import SpeedRow

if TYPE_CHECKING:
    from .speed_bench import SpeedBench

POINTS = ((4096, 2), (8192, 2), (16384, 2), (16384, 4), (16384, 8))
"""Tokens and shards."""
LAYERS = "0-1"


def shard_memory(bench: SpeedBench) -> Iterator[SpeedRow]:
    """The largest peak of the shards, and that of their merge, with an activation store."""
    for tokens, count in POINTS:
        name = f"memory of {count} shards of {tokens:,} tokens and their merge"
        bench.reporter.say(name)
        parts = [bench.folder / f"{tokens}-{number}-of-{count}" for number in range(1, count + 1)]
        shards = [
            bench.hubel(
                *("index", "--shard", f"{number}/{count}", "--max-tokens", str(tokens)),
                *("--subject", bench.subject_name, "--corpus", bench.corpus),
                *("--layers", LAYERS, "--store", "all", "--out", str(part)),
                *("--device", bench.device, "--dtype", bench.dtype),
            )
            for number, part in enumerate(parts, start=1)
        ]
        merged = str(bench.folder / f"merged-{tokens}-{count}")
        merge = bench.hubel("index", "merge", *map(str, parts), "--out", merged)
        costs = [*shards, merge]
        figures = {
            "shard_peak_rss_mb": max(cost.peak_mb for cost in shards),
            "merge_peak_rss_mb": merge.peak_mb,
            "merge_cpu_seconds": merge.cpu_seconds,
        }
        wall, cpu = (sum(part) for part in zip(*(cost[:2] for cost in costs), strict=True))
        yield SpeedRow(name, wall, cpu, figures)
