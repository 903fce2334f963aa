"""One split of an index as Parquet: what a pass found, in the form in which it is looked up.

    contexts.parquet             context, document, length, tokens
    documents.parquet            document, id, group, sha256, n_tokens, preview
    statistics/mlp.parquet       a row a unit
    exemplars/mlp-12.parquet     a row an exemplar, a fixed number a unit, 64 units a row group

An exemplar has `kind` "top" with its `side`, or "random" (the pool's contexts, the same for all
units); activations are raw, one a token, 0 at position 0. `context` is the number of a row of
contexts.parquet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from ..corpus import Contexts
from .batch_plan import BatchPlan
from .float16_file import transposed_copy
from .site_totals import SiteTotals

UNITS_A_GROUP = 64
CONTEXTS_A_GROUP = 256
QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
ACTIVE = 0.1
"""A unit counts as active where its |activation| is above this share of its largest: `density`."""


def write_text(folder: Path, plan: BatchPlan) -> None:
    """Write the split's contexts and documents."""
    contexts, rows = plan.contexts, plan.rows
    table = {
        "context": pa.array(np.arange(len(rows), dtype=np.int32)),
        "document": pa.array(contexts.document[rows]),
        "length": pa.array(contexts.length[rows]),
        "tokens": _lists(contexts.tokens[rows], pa.int32()),
    }
    _write(pa.table(table), folder / "contexts.parquet", CONTEXTS_A_GROUP)
    _write(_documents(contexts, plan.split), folder / "documents.parquet", CONTEXTS_A_GROUP)


def _documents(contexts: Contexts, split: str) -> pa.Table:
    kept = [(number, row) for number, row in enumerate(contexts.documents) if row.split == split]
    columns = {"document": pa.array([number for number, _ in kept], pa.int32())}
    for name, kind in (
        ("id", pa.string()),
        ("group", pa.int32()),
        ("sha256", pa.string()),
        ("n_tokens", pa.int64()),
    ):
        columns[name] = pa.array([getattr(row, name) for _, row in kept], kind)
    return pa.table(columns | {"preview": pa.array([row.preview for _, row in kept], pa.string())})


def write_exemplars(folder: Path, state: SiteTotals) -> None:
    """Write a site's exemplars."""
    seq, n_units = state.pool.shape
    pool = transposed_copy(state.pool.read().reshape(-1, n_units)).reshape(n_units, -1, seq)
    tops = [top.ordered() for top in state.top]
    rows = np.concatenate(
        [*(activations for _, _, activations in tops), pool], axis=1
    )  # unit exemplar seq
    n_random = pool.shape[1]
    kinds, sides, ranks = _labels([values.shape[1] for values, _, _ in tops], n_random)
    numbers = np.broadcast_to(state.pool_contexts, (n_units, n_random))
    nothing = np.full((n_units, n_random), np.nan, np.float32)
    values = [values if side == 0 else -values for side, (values, _, _) in enumerate(tops)]
    each = rows.shape[1]
    columns = {
        "layer": pa.array(np.full(n_units * each, state.site.layer, np.int16)),
        "unit": pa.array(np.repeat(np.arange(n_units, dtype=np.int32), each)),
        "kind": _words(np.tile(kinds, n_units), ["top", "random"]),
        "side": _words(np.tile(sides, n_units), ["+", "-"]),
        "rank": pa.array(np.tile(ranks, n_units)),
        "context": pa.array(
            np.concatenate([*(c for _, c, _ in tops), numbers], axis=1, dtype=np.int32).reshape(-1)
        ),
        "peak": pa.array(np.concatenate([*values, nothing], axis=1).reshape(-1), from_pandas=True),
        "activations": _lists(rows.reshape(-1, seq), pa.float16()),
    }
    path = folder / "exemplars" / f"{state.site.kind}-{state.site.layer}.parquet"
    _write(_table(columns), path, UNITS_A_GROUP * each)


def _labels(tops: Sequence[int], n_random: int) -> tuple[Int[np.ndarray, " each"], ...]:
    """Kind, side (-1: none) and rank of each of a unit's exemplars, in the order in which they are written."""
    kinds = np.repeat(np.array([0] * len(tops) + [1], np.int8), [*tops, n_random])
    sides = np.repeat(np.array([*range(len(tops)), -1], np.int8), [*tops, n_random])
    ranks = np.concatenate([np.arange(n, dtype=np.int16) for n in (*tops, n_random)])
    return kinds, sides, ranks


def statistics_columns(state: SiteTotals) -> dict[str, np.ndarray]:
    """A site's statistics by column; quantiles and shares are estimated from the sample."""
    n = max(state.n, 1)
    mean = state.total / n
    std = np.sqrt(np.maximum(state.squares / n - mean**2, 0))
    largest = np.maximum(np.abs(state.low), np.abs(state.high))
    ordered = np.sort(
        transposed_copy(state.sample.read()).astype(np.float32), axis=1
    )  # unit sample
    n_units = len(mean)
    columns: dict[str, Any] = {
        "layer": np.full(n_units, state.site.layer, np.int16),
        "unit": np.arange(n_units, dtype=np.int32),
        "n": np.full(n_units, state.n, np.int64),
        "mean": mean,
        "std": std,
        "min": state.low,
        "max": state.high,
        "density": _share_above(ordered, ACTIVE * largest)
        + _share_below(ordered, -ACTIVE * largest),
        "positive": _share_above(ordered, np.zeros(n_units)),
    }
    columns |= {name: _quantile(ordered, q) for name, q in QUANTILES.items()}
    return {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in columns.items()}


def write_statistics(folder: Path, kind: str, sites: Sequence[dict[str, np.ndarray]]) -> None:
    """Write the statistics of all sites of a kind, a row group a layer."""
    (folder / "statistics").mkdir(exist_ok=True)
    schema = pa.table(sites[0]).schema
    with pq.ParquetWriter(
        folder / "statistics" / f"{kind}.parquet", schema, compression="lz4"
    ) as writer:
        for columns in sites:
            writer.write_table(pa.table(columns))


def _share_above(
    ordered: Float[np.ndarray, "unit sample"], bar: Float[np.ndarray, " unit"]
) -> Float[np.ndarray, " unit"]:
    return 1 - _rank(ordered, bar, right=True) / max(ordered.shape[1], 1)


def _share_below(
    ordered: Float[np.ndarray, "unit sample"], bar: Float[np.ndarray, " unit"]
) -> Float[np.ndarray, " unit"]:
    return _rank(ordered, bar, right=False) / max(ordered.shape[1], 1)


def _rank(
    ordered: Float[np.ndarray, "unit sample"], bar: Float[np.ndarray, " unit"], *, right: bool
) -> Int[np.ndarray, " unit"]:
    """How many of each row's numbers are below its bar (or at it, with `right`): a bisection of all rows at once."""
    low, high = np.zeros(len(ordered), np.int64), np.full(len(ordered), ordered.shape[1])
    rows = np.arange(len(ordered))
    for _ in range(ordered.shape[1].bit_length()):
        middle = (low + high) // 2
        at = ordered[rows, np.minimum(middle, ordered.shape[1] - 1)]
        before = (at <= bar if right else at < bar) & (low < high)
        low, high = np.where(before, middle + 1, low), np.where(before, high, middle)
    return low


def _quantile(ordered: Float[np.ndarray, "unit sample"], q: float) -> Float[np.ndarray, " unit"]:
    if ordered.shape[1] == 0:
        return np.full(len(ordered), np.nan)
    place = q * (ordered.shape[1] - 1)
    low = int(place)
    high = min(low + 1, ordered.shape[1] - 1)
    return ordered[:, low] + (place - low) * (ordered[:, high] - ordered[:, low])


def _words(codes: Int[np.ndarray, " row"], words: list[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), pa.array(words))


def _lists(rows: np.ndarray, kind: pa.DataType) -> pa.Array:
    """Rows as lists of a fixed length without nulls, which Parquet writes and reads fastest."""
    inner = pa.field("element", kind, nullable=False)
    return pa.FixedSizeListArray.from_arrays(
        pa.array(rows.reshape(-1)), type=pa.list_(inner, rows.shape[1])
    )


def _table(columns: dict[str, pa.Array]) -> pa.Table:
    optional = ("side", "peak")
    return pa.table(
        columns,
        schema=pa.schema([pa.field(k, v.type, nullable=k in optional) for k, v in columns.items()]),
    )


def _write(table: pa.Table, path: Path, rows: int) -> None:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(
        table,
        path,
        row_group_size=max(rows, 1),
        compression="none"
        if "activations" in table.column_names
        else "lz4",  # activations hardly shrink
        use_dictionary=["kind", "side"],  # pyright: ignore[reportArgumentType]
        write_statistics=["layer", "unit", "context"],  # pyright: ignore[reportArgumentType]
    )
