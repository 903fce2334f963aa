"""Writes one split of an index as Parquet, in the form in which `split_reader` looks it up.

    contexts.parquet             context, document, length, tokens
    documents.parquet            document, id, group, sha256, n_tokens, preview
    statistics/mlp.parquet       one row per unit
    exemplars/mlp-12.parquet     one row per exemplar, the same number for each unit; 64 units per
                                 row group

An exemplar has `kind` "top" with its `side`, or "random" (the pool's contexts, the same for all
units); activations are raw, one per token, 0 at position 0. `context` is the number of a row of
contexts.parquet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Int, Shaped

from ..subject.address import Site
from .batch_plan import BatchPlan
from .float16 import sorted_rows, transposed_copy
from .site_totals import SiteResults
from .topk import RankedContexts

UNITS_A_GROUP = 64
CONTEXTS_A_GROUP = 256
QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
ACTIVE = 0.1
"""A unit counts as active where its |activation| is above this share of its largest: `density`."""

DOCUMENT_COLUMNS = {
    "id": pa.string(),
    "group": pa.int32(),
    "sha256": pa.string(),
    "n_tokens": pa.int64(),
    "preview": pa.string(),
}
"""What is stored of a `DocumentRow`, in the order of the file's columns."""

Columns = dict[str, Shaped[np.ndarray, " unit"]]


def write_text(folder: Path, plan: BatchPlan) -> None:
    """Write the split's contexts and documents."""
    contexts, rows = plan.contexts, plan.rows
    context_columns = {
        "context": pa.array(np.arange(len(rows), dtype=np.int32)),
        "document": pa.array(contexts.document[rows]),
        "length": pa.array(contexts.length[rows]),
        "tokens": _lists(contexts.tokens[rows], pa.int32()),
    }
    _write(pa.table(context_columns), folder / "contexts.parquet", CONTEXTS_A_GROUP)

    documents = contexts.documents
    numbers = [number for number, row in enumerate(documents) if row.split == plan.split]
    document_columns = {"document": pa.array(numbers, pa.int32())}
    for name, kind in DOCUMENT_COLUMNS.items():
        values = [getattr(documents[number], name) for number in numbers]
        document_columns[name] = pa.array(values, kind)
    _write(pa.table(document_columns), folder / "documents.parquet", CONTEXTS_A_GROUP)


def write_exemplars(folder: Path, results: SiteResults) -> None:
    """Write a site's exemplars: of each unit the best contexts of its sides, then the pool's."""
    with ExemplarsFile(folder, results.site) as file:
        file.append(results_table(results), len(results.total))


class ExemplarsFile:
    """A site's exemplars, written by blocks of units; but for the last, whole groups of units each."""

    def __init__(self, folder: Path, site: Site) -> None:
        self._path = folder / "exemplars" / f"{site.file_stem}.parquet"
        self._path.parent.mkdir(exist_ok=True)
        # activations hardly compress, but those of a latent are mostly 0
        self._options: dict[str, Any] = {"compression": "lz4"} if site.kind == "sae" else {}
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._writer:
            self._writer.close()

    def append(self, table: pa.Table, n_units: int) -> None:
        """Write the next units."""
        if self._writer is None:
            options = _options(table.schema) | self._options
            self._writer = pq.ParquetWriter(self._path, table.schema, **options)
        rows = UNITS_A_GROUP * (table.num_rows // max(n_units, 1))
        self._writer.write_table(table, max(rows, 1))


def results_table(results: SiteResults, first_unit: int = 0) -> pa.Table:
    """The exemplars of units from a number on."""
    _, seq, n_units = results.pool.shape
    pool = transposed_copy(results.pool.reshape(-1, n_units)).reshape(n_units, -1, seq)
    tops = [top.ranked() for top in results.top]
    return exemplars_table(results.site.layer, first_unit, tops, pool, results.pool_contexts)


def exemplars_table(
    layer: int,
    first_unit: int,
    tops: Sequence[RankedContexts],
    pool: Float[np.ndarray, "unit pool seq"],
    pool_contexts: Int[np.ndarray, " pool"],
) -> pa.Table:
    """The table of exemplars of some units of a site.

    Args:
        tops: of each side, "+" first.
        pool: activations on the pool's contexts.
    """
    n_units, n_random, seq = pool.shape
    activations = np.concatenate([*(top.activations for top in tops), pool], axis=1)
    each = activations.shape[1]

    # Kind (0 top, 1 random), side (-1: none) and rank are the same for each unit.
    sizes = [*(top.values.shape[1] for top in tops), n_random]
    kinds = np.repeat(np.array([0] * len(tops) + [1], np.int8), sizes)
    sides = np.repeat(np.array([*range(len(tops)), -1], np.int8), sizes)
    ranks = np.concatenate([np.arange(size, dtype=np.int16) for size in sizes])

    # The negative side's values are those of the negated activation.
    peaks = [-top.values if side else top.values for side, top in enumerate(tops)]
    no_peaks = np.full((n_units, n_random), np.nan, np.float32)
    of_pool = np.broadcast_to(pool_contexts, (n_units, n_random))
    contexts = np.concatenate([*(top.contexts for top in tops), of_pool], axis=1, dtype=np.int32)
    columns = {
        "layer": pa.array(np.full(n_units * each, layer, np.int16)),
        "unit": pa.array(np.repeat(np.arange(n_units, dtype=np.int32) + first_unit, each)),
        "kind": _dictionary(np.tile(kinds, n_units), ["top", "random"]),
        "side": _dictionary(np.tile(sides, n_units), ["+", "-"]),
        "rank": pa.array(np.tile(ranks, n_units)),
        "context": pa.array(contexts.reshape(-1)),
        "peak": pa.array(np.concatenate([*peaks, no_peaks], axis=1).reshape(-1), from_pandas=True),
        "activations": _lists(activations.reshape(-1, seq), pa.float16()),
    }
    fields = [pa.field(k, v.type, nullable=k in ("side", "peak")) for k, v in columns.items()]
    return pa.table(columns, schema=pa.schema(fields))


def statistics_columns(results: SiteResults) -> Columns:
    """A site's statistics by column; quantiles and shares are estimated from the sample."""
    n = max(results.n, 1)
    mean = results.total / n
    largest = np.maximum(np.abs(results.low), np.abs(results.high))
    sample = sorted_rows(transposed_copy(results.sample))
    size, n_units = max(sample.shape[1], 1), len(mean)  # sample: unit token

    def share_above(bar: Float[np.ndarray, " unit"]) -> Float[np.ndarray, " unit"]:
        return 1 - _rank(sample, bar, right=True) / size

    share_below = _rank(sample, -ACTIVE * largest, right=False) / size
    columns: Columns = {
        "layer": np.full(n_units, results.site.layer, np.int16),
        "unit": np.arange(n_units, dtype=np.int32),
        "n": np.full(n_units, results.n, np.int64),
        "mean": mean,
        "std": np.sqrt(np.maximum(results.squares / n - mean**2, 0)),
        # -0.0 and 0.0 are equal, and which of them is left depends on the order
        "min": results.low + np.float32(0),
        "max": results.high + np.float32(0),
        "density": share_above(ACTIVE * largest) + share_below,
        "positive": share_above(np.zeros(n_units)),
    }
    columns |= {name: _quantile(sample, q) for name, q in QUANTILES.items()}
    return {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in columns.items()}


def write_statistics(folder: Path, name: str, sites: Sequence[Columns]) -> None:
    """Write the statistics of some sites, one row group each, into a file of the name."""
    (folder / "statistics").mkdir(exist_ok=True)
    schema = pa.table(sites[0]).schema
    path = folder / "statistics" / f"{name}.parquet"
    with pq.ParquetWriter(path, schema, compression="lz4") as writer:
        for columns in sites:
            writer.write_table(pa.table(columns))


def _rank(
    ordered: Float[np.ndarray, "unit sample"], bar: Float[np.ndarray, " unit"], *, right: bool
) -> Int[np.ndarray, " unit"]:
    """How many of each row's numbers are below its bar (or at it, with `right`).

    A bisection of all rows at once.
    """
    low, high = np.zeros(len(ordered), np.int64), np.full(len(ordered), ordered.shape[1])
    rows = np.arange(len(ordered))
    for _ in range(ordered.shape[1].bit_length()):
        middle = (low + high) // 2
        value = ordered[rows, np.minimum(middle, ordered.shape[1] - 1)]
        is_before = (value <= bar if right else value < bar) & (low < high)
        low, high = np.where(is_before, middle + 1, low), np.where(is_before, high, middle)
    return low


def _quantile(ordered: Float[np.ndarray, "unit sample"], q: float) -> Float[np.ndarray, " unit"]:
    """numpy's linear quantile, without sorting again."""
    if ordered.shape[1] == 0:
        return np.full(len(ordered), np.nan)
    place = q * (ordered.shape[1] - 1)
    low = int(place)
    high = min(low + 1, ordered.shape[1] - 1)
    with np.errstate(invalid="ignore"):  # NaN between two that float16 cannot hold
        return ordered[:, low] + (place - low) * (ordered[:, high] - ordered[:, low])


def _dictionary(codes: Int[np.ndarray, " row"], words: list[str]) -> pa.Array:
    """Words by code; null where a code is negative."""
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), pa.array(words))


def _lists(rows: Shaped[np.ndarray, "row width"], kind: pa.DataType) -> pa.Array:
    """Rows as lists of a fixed length without nulls, which Parquet writes and reads fastest."""
    inner = pa.field("element", kind, nullable=False)
    return pa.FixedSizeListArray.from_arrays(
        pa.array(rows.reshape(-1)), type=pa.list_(inner, rows.shape[1])
    )


def _write(table: pa.Table, path: Path, rows: int) -> None:
    pq.write_table(table, path, row_group_size=max(rows, 1), **_options(table.schema))


def _options(schema: pa.Schema) -> dict[str, Any]:
    """How a table is written."""
    return {
        # Activations hardly compress.
        "compression": "none" if "activations" in schema.names else "lz4",
        "use_dictionary": ["kind", "side"],
        "write_statistics": ["layer", "unit", "context"],
    }
