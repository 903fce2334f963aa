"""Measures what an index and targets cost in subjects of several sizes, in seconds of one core."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...agent.runlog.progress import Reporter
from ...tools.corpus import Corpus
from ...tools.index import Index, build_index
from ...tools.subject import load_subject
from .bytes_on_disk import BytesOnDisk, check_run, check_shard
from .cost_model import MeasuredCost, index_terms, target_terms
from .detectors import detector_addresses
from .random_subject import write_subject
from .sizes import SubjectSize
from .targets import TargetSeconds, target_seconds


class SizeCost(NamedTuple):
    """What one size cost.

    Attributes:
        index_cost: for each token. target_cost: for each target, their mean.
        forward_share: the bare forward pass's share of the index's time.
        index_bytes: of the index on disk. files: those whose bytes are known without a fit.
        folder: where its index is.
    """

    size: SubjectSize
    tokens: int
    index_cost: MeasuredCost
    target_cost: MeasuredCost
    targets: TargetSeconds
    forward_share: float
    index_bytes: int
    files: list[BytesOnDisk]
    folder: Path

    def to_json(self) -> dict[str, Any]:
        """For a JSON line."""
        return {
            "size": self.size.name,
            "weights": self.size.weights,
            "units": self.size.units,
            "tokens": self.tokens,
            "index_ms_a_token": round(1e3 * self.index_cost.seconds, 4),
            "target_s": round(self.target_cost.seconds, 3),
            "targets": len(self.targets.each),
            "distinct_tokens": self.targets.distinct_tokens,
            "target_spread": round(self.targets.spread, 3),
            "forward_share": round(self.forward_share, 3),
            "index_bytes": self.index_bytes,
            "files": [{**of_kind._asdict(), "error": of_kind.error} for of_kind in self.files],
        }


def measure_sizes(
    plan: Sequence[tuple[SubjectSize, int]],
    tokenizer: Any,
    corpus: Corpus,
    folder: Path,
    reporter: Reporter,
    *,
    shards: int = 2,
) -> Iterator[SizeCost]:
    """Index and explain with each size; numbers of threads are the caller's.

    Args:
        plan: sizes, each with the tokens of its index.
        shards: so many of the plan's are also computed as a shard, with an activation store.
    """
    for number, (size, tokens) in enumerate(plan):
        reporter.update("sizes", number, len(plan), note=f"{size.name}, {tokens:,} tokens")
        yield _measure(size, tokens, tokenizer, corpus, folder / f"{number}", number < shards)
        if number + 1 < len(plan):  # the last one is used once more
            shutil.rmtree(folder / f"{number}")
    reporter.update("sizes", len(plan), len(plan))


def _measure(
    size: SubjectSize, tokens: int, tokenizer: Any, corpus: Corpus, folder: Path, shard: bool
) -> SizeCost:
    subject = load_subject(str(write_subject(size, tokenizer, folder)))
    index, run, addresses = folder / "index", folder / "run", detector_addresses(size)
    start, started = time.process_time(), time.perf_counter()
    summary = build_index(subject, corpus, index, max_tokens=tokens, store="none")
    cpu, wall = time.process_time() - start, time.perf_counter() - started
    index_s = cpu * summary.total_seconds / wall  # without the passes that only serve its clock
    read = summary.tokens
    targets = target_seconds(run, index, subject, addresses)
    files = [check_run(size, index, run, len(addresses))]
    if shard:
        files += check_shard(size, subject, corpus, tokens, folder / "shard")
    name = f"{size.name}, {read:,}"
    return SizeCost(
        size,
        read,
        MeasuredCost(name, index_terms(size.weights, size.units, read), index_s / read),
        MeasuredCost(name, target_terms(targets.distinct_tokens, size.weights), targets.mean),
        targets,
        summary.forward_seconds / summary.total_seconds,
        _bytes_of(Index.open(index)),
        files,
        folder,
    )


def _bytes_of(index: Index) -> int:
    return sum(path.stat().st_size for path in index.path.rglob("*") if path.is_file())
