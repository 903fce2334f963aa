"""Indexing all units, with and without an activation store, over the model's own forward passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .rows import SpeedRow
from .speed_bench import Stopwatch

if TYPE_CHECKING:
    from pathlib import Path

    from ...tools.index.activation_store.folder import StoreChoice
    from .speed_bench import SpeedBench

INDEX_TOKENS = 16_384
"""Enough that 1.1 and 1.2 times the forward pass can be told apart, and a few minutes of one thread."""


def index_speed(bench: SpeedBench) -> Iterator[SpeedRow]:
    """One index without a store, one with."""
    yield _build(bench, "index without a store", "none")
    yield _build(bench, "index with a store", "all")


def _build(bench: SpeedBench, name: str, store: StoreChoice) -> SpeedRow:
    from ...tools.corpus import read_corpus
    from ...tools.index import build_index
    from ...tools.index.activation_store.layout import STORE

    out = bench.folder / name.replace(" ", "-")
    subject, corpus = bench.subject, read_corpus(bench.corpus)
    watch = Stopwatch()
    summary = build_index(
        subject, corpus, out, max_tokens=INDEX_TOKENS, progress=bench.reporter, store=store
    )
    wall, cpu = watch.read()
    figures = {
        "tokens": summary.tokens,
        "units": summary.units,
        "tokens_a_second": summary.tokens / summary.total_seconds,
        "forward_tokens_a_second": summary.tokens / summary.forward_seconds,
        "times_forward": summary.total_seconds / summary.forward_seconds,
        "peak_rss_mb": summary.peak_rss_mb,
    }
    if store != "none":
        shape = subject.shape.n_layers * subject.d_model
        stored = _bytes_below(out / STORE)
        figures["store_bytes_a_token_layer_dimension"] = stored / (summary.tokens * shape)
    return SpeedRow(name, wall, cpu, figures)


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
