"""Measures what an index and targets cost for random subjects, in seconds of one core."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ...agent.run.execute import execute_run, make_run, resolve
from ...agent.runlog.config import RunConfig
from ...agent.runlog.log import RunLog
from ...agent.runlog.phases import EVENT as TIMING
from ...agent.runlog.progress import Reporter
from ...tools.corpus import Corpus
from ...tools.index import Index, build_index
from ...tools.subject import load_subject
from ...tools.subject.subject import Subject
from .cost_model import MeasuredCost, index_terms, target_terms
from .sizes import SubjectSize, write_subject


class SizeCost(NamedTuple):
    """What one size cost.

    Attributes:
        index_cost: for each token. target_cost: for each target.
        forward_share: the bare forward pass's share of the index's time.
        index_bytes: of the index on disk.
    """

    size: SubjectSize
    tokens: int
    index_cost: MeasuredCost
    target_cost: MeasuredCost
    forward_share: float
    index_bytes: int

    def to_json(self) -> dict[str, Any]:
        """For a JSON line."""
        return {
            "size": self.size.name,
            "weights": self.size.weights,
            "units": self.size.units,
            "tokens": self.tokens,
            "index_ms_a_token": round(1e3 * self.index_cost.seconds, 4),
            "target_s": round(self.target_cost.seconds, 3),
            "forward_share": round(self.forward_share, 3),
            "index_bytes": self.index_bytes,
        }


def measure_sizes(
    plan: Sequence[tuple[SubjectSize, int]],
    tokenizer: Any,
    corpus: Corpus,
    n_targets: int,
    folder: Path,
    reporter: Reporter,
) -> Iterator[SizeCost]:
    """Index and explain with each size; numbers of threads are the caller's.

    Args:
        plan: sizes, each with the tokens of its index.
        n_targets: a target's cost is the difference between so many and four times as many.
    """
    for number, (size, tokens) in enumerate(plan):
        reporter.update("sizes", number, len(plan), note=f"{size.name}, {tokens:,} tokens")
        place = folder / f"{number}"
        subject = load_subject(str(write_subject(size, tokenizer, place)))
        yield _measure(size, subject, corpus, tokens, n_targets, place)
    reporter.update("sizes", len(plan), len(plan))


def _measure(
    size: SubjectSize, subject: Subject, corpus: Corpus, tokens: int, n_targets: int, folder: Path
) -> SizeCost:
    start = time.process_time()
    summary = build_index(subject, corpus, folder / "index", max_tokens=tokens, store="none")
    index_s = time.process_time() - start
    read = summary.tokens
    explain = partial(_explain_seconds, folder, subject, size)
    explain("first", 1)  # what is computed once for a text, and then cached
    few, many = n_targets, 4 * n_targets
    target_s = (explain("many", many) - explain("few", few)) / (many - few)
    return SizeCost(
        size,
        read,
        MeasuredCost(size.name, index_terms(size.weights, size.units, read), index_s / read),
        MeasuredCost(f"{size.name}, {read:,}", target_terms(read, size.weights), target_s),
        summary.forward_seconds / summary.total_seconds,
        _bytes_of(Index.open(folder / "index")),
    )


def _explain_seconds(folder: Path, subject: Subject, size: SubjectSize, name: str, n: int) -> float:
    """CPU seconds of the investigations of n neurons, spread over the layers."""
    step = max(size.layers * size.mlp // n, 1)
    numbers = [divmod(i * step, size.mlp) for i in range(n)]
    targets = [f"mlp.{layer}.{neuron}" for layer, neuron in numbers]
    run = folder / name
    make_run(run, resolve(RunConfig(index=str(folder / "index"), targets=targets)))
    execute_run(run, subject=subject)
    with closing(RunLog(run, writable=False)) as log:
        (timing,) = log.all(TIMING).values()
    (explain,) = (phase for phase in timing["phases"] if phase["name"] == "explain")
    return float(explain["cpu_seconds"])


def _bytes_of(index: Index) -> int:
    return sum(path.stat().st_size for path in index.path.rglob("*") if path.is_file())
