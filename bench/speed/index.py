"""Indexing all units, with and without an activation store, over the model's own forward passes.

1. Build each index, and count the process's CPU seconds.
2. Run the same batches through the model alone. An index runs a few so itself, for its own
   estimate; those are taken off.
3. The ratio of the two is what reading and writing cost on top of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .rows import SpeedRow
from .speed_bench import Stopwatch

if TYPE_CHECKING:
    from pathlib import Path

    from ...tools.index.activation_store.folder import StoreChoice
    from ...tools.index.activation_store.plan import StoreBits
    from .speed_bench import SpeedBench

CONTEXT_LEN = 64
"""Tokens of a context, as `hubel index` cuts them."""
INDEX_TOKENS = 16_384
"""Enough that 1.1 and 1.2 times the forward pass can be told apart, and a few minutes of one thread."""


def index_speed(bench: SpeedBench) -> Iterator[SpeedRow]:
    """One index without a store, and one with a store of each size of numbers."""
    forward = _forward_passes(bench)
    yield _build(bench, "index without a store", "none", 16, forward)
    yield _build(bench, "index with a store", "all", 16, forward)
    yield _build(bench, "index with a store of 8 bits", "all", 8, forward)


class _ForwardPasses(NamedTuple):
    """CPU seconds of the model alone.

    Attributes:
        all: up to the deepest neurons, on all batches; what an index without a store needs.
        timed: the same on the batches that an index times itself.
        with_logits: the whole model on all batches; what an index with a store needs.
    """

    all: float
    timed: float
    with_logits: float


def _forward_passes(bench: SpeedBench) -> _ForwardPasses:
    import torch

    from ...tools.corpus import SPLITS, make_contexts, read_corpus
    from ...tools.index.batch_plan import batch_rows, reading_order
    from ...tools.index.pass_clock import is_timed
    from ...tools.index.split_pass import bare_pass
    from ...tools.subject.address import Site

    subject, corpus = bench.subject, read_corpus(bench.corpus)
    last = [Site("mlp", subject.shape.n_layers - 1)]
    contexts = make_contexts(
        corpus.documents, lambda text: subject.tokenize(text).ids, CONTEXT_LEN, INDEX_TOKENS
    )
    seconds, timed, with_logits = 0.0, 0.0, 0.0
    for split in SPLITS:
        rows = contexts.rows_of(split)
        order = rows[reading_order(contexts.length[rows])]
        step = batch_rows(contexts)
        batches = [order[start : start + step] for start in range(0, len(order), step)]
        for number, batch in enumerate(batches):
            tokens = contexts.tokens[batch, : contexts.length[batch[0]]]
            ids = torch.from_numpy(tokens.astype(np.int64)).to(subject.device)
            watch = Stopwatch()
            bare_pass(subject, ids, last)
            _, cpu = watch.read()
            seconds += cpu
            watch = Stopwatch()
            with torch.inference_mode():
                subject.model(ids, use_cache=False)
            with_logits += watch.read()[1]
            timed += cpu * is_timed(split, number, len(batches))
    return _ForwardPasses(seconds, timed, with_logits)


def _build(
    bench: SpeedBench, name: str, store: StoreChoice, bits: StoreBits, forward: _ForwardPasses
) -> SpeedRow:
    from ...tools.corpus import read_corpus
    from ...tools.index import build_index
    from ...tools.index.activation_store.layout import STORE

    out = bench.folder / name.replace(" ", "-")
    subject, corpus = bench.subject, read_corpus(bench.corpus)
    watch = Stopwatch()
    summary = build_index(
        subject,
        corpus,
        out,
        max_tokens=INDEX_TOKENS,
        progress=bench.reporter,
        store=store,
        store_bits=bits,
    )
    wall, cpu = watch.read()
    figures = {
        "tokens": summary.tokens,
        "units": summary.units,
        "tokens_a_second": summary.tokens / summary.total_seconds,
        "forward_tokens_a_second": summary.tokens / summary.forward_seconds,
        "forward_share": summary.forward_seconds / summary.total_seconds,
        "cpu_over_forward": (cpu - forward.timed) / forward.all,
        "peak_rss_mb": summary.peak_rss_mb,
    }
    if store != "none":
        figures["cpu_over_forward_with_logits"] = (cpu - forward.timed) / forward.with_logits
        shape = subject.shape.n_layers * subject.d_model
        stored = _bytes_below(out / STORE)
        figures["store_bytes_a_token_layer_dimension"] = stored / (summary.tokens * shape)
    return SpeedRow(name, wall, cpu, figures)


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
