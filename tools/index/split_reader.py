"""Looking things up in one split of an index. No torch; a unit's exemplars cost one row group, a few milliseconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from ..corpus import SPLITS, Contexts, DocumentRow, Split
from ..errors import ArgumentError, CorruptError
from ..subject.address import Shape, Site, Unit

ExemplarKind = Literal["top", "quantile", "random"]
BEFORE_PEAK, AFTER_PEAK = 8, 4
"""Tokens by which exemplars count as the same text."""


@dataclass(frozen=True)
class UnitStatisticsRow:
    """A unit's activations over the split's tokens that count; raw, both signs.

    `density` is the share of tokens where |activation| is above a tenth of the largest, `positive`
    where it is above 0. These two and the quantiles are estimated from a random sample of tokens.
    """

    unit: str
    n: int
    mean: float
    std: float
    min: float
    max: float
    density: float
    positive: float
    q01: float
    q10: float
    q50: float
    q90: float
    q99: float


@dataclass(frozen=True)
class Exemplar:
    """A context with a unit's raw activation at each token (0 at position 0, which does not count).

    Attributes:
        context: its number within the split; document: its document's number.
        peak: position of the largest activation of the side that was asked for.
    """

    context: int
    document: int
    token_ids: list[int]
    tokens: list[str]
    activations: list[float]
    peak: int


class SiteStatistics(NamedTuple):
    """The statistics of all units of a site, each an array over units."""

    n: int
    mean: Float[np.ndarray, " unit"]
    std: Float[np.ndarray, " unit"]
    min: Float[np.ndarray, " unit"]
    max: Float[np.ndarray, " unit"]
    density: Float[np.ndarray, " unit"]
    positive: Float[np.ndarray, " unit"]
    q01: Float[np.ndarray, " unit"]
    q10: Float[np.ndarray, " unit"]
    q50: Float[np.ndarray, " unit"]
    q90: Float[np.ndarray, " unit"]
    q99: Float[np.ndarray, " unit"]


class SplitReader:
    """Reads one split's folder; files are opened when first needed and stay open."""

    def __init__(
        self, folder: Path, split: Split, shape: Shape, sites: Sequence[Site], vocabulary: Path
    ) -> None:
        self.folder, self.split, self.shape, self.sites = folder, split, shape, frozenset(sites)
        self._vocabulary_file = vocabulary
        self._group = lru_cache(maxsize=64)(self._read_group)
        self._file = lru_cache(maxsize=256)(self._open)

    @cached_property
    def vocabulary(self) -> list[str]:
        """Each token's text, by id."""
        with _reading(self._vocabulary_file):
            return pq.read_table(self._vocabulary_file, columns=["string"]).column(0).to_pylist()

    def contexts(self) -> Contexts:
        """All contexts of the split, in the order of their numbers; `documents` has the split's documents only."""
        table = self._table("contexts.parquet")
        rows = self._documents()
        numbers, document = rows.column("document").to_numpy(), table.column("document").to_numpy()
        return Contexts(
            tokens=_matrix(table.column("tokens")),
            length=table.column("length").to_numpy(),
            document=np.searchsorted(numbers, document).astype(np.int32),
            split=np.full(len(table), SPLITS.index(self.split), np.int8),
            documents=tuple(
                DocumentRow(split=self.split, **row) for row in rows.drop("document").to_pylist()
            ),  # pyright: ignore[reportArgumentType]
        )

    def document_numbers(self) -> Int[np.ndarray, " document"]:
        """The number within the whole corpus of each of the split's documents."""
        return self._documents().column("document").to_numpy()

    def statistics(self, unit: Unit) -> UnitStatisticsRow:
        """One unit's statistics."""
        at = self._column(unit)
        site = self.site_statistics(unit.place)
        return UnitStatisticsRow(str(unit), site.n, *(float(column[at]) for column in site[1:]))

    def site_statistics(self, site: Site) -> SiteStatistics:
        """The statistics of all units of a site."""
        self._check(site)
        layers = sorted(s.layer for s in self.sites if s.kind == site.kind)
        table = self._group(f"statistics/{site.kind}.parquet", layers.index(site.layer))
        columns = [table.column(name).to_numpy() for name in SiteStatistics._fields]
        return SiteStatistics(int(columns[0][0]), *columns[1:])

    def exemplars(
        self, unit: Unit, side: Literal["+", "-"] = "+", kind: ExemplarKind = "top", k: int = 8
    ) -> list[Exemplar]:
        """Contexts with one unit's activations.

        "top": those with the highest peaks on the side, best first, a text that was printed twice
        (the same tokens around the peak) a second time only where there is nothing else; fewer when
        fewer have any. "quantile": spread evenly over the pool's contexts ordered by their peak,
        highest first. "random": the pool's first.

        Raises:
            ArgumentError: an unknown kind or side, k below 1, or the unit is not in the index.
        """
        if kind not in ("top", "quantile", "random"):
            raise ArgumentError(f"kind {kind!r} given; choose top, quantile or random")
        if side not in ("+", "-") or k < 1:
            raise ArgumentError(f"side {side!r} and k {k!r} given; side is + or -, k at least 1")
        table = self._exemplars_of(unit)
        sign = 1 if side == "+" else -1
        kinds = np.asarray(table.column("kind").to_pylist())
        wanted = kinds == ("top" if kind == "top" else "random")
        if kind == "top":
            wanted &= np.asarray(table.column("side").to_pylist()) == side
        at = np.flatnonzero(wanted)
        rows = _matrix(table.column("activations"))[at].astype(np.float32)
        found = [
            self._exemplar(number, row, sign)
            for number, row in zip(
                table.column("context").to_numpy()[at].tolist(), rows, strict=True
            )
        ]
        return _chosen(found, kind, k, sign)

    def _exemplar(self, number: int, activations: Float[np.ndarray, " seq"], sign: int) -> Exemplar:
        group, at = divmod(number, self._contexts_a_group)
        row = self._group("contexts.parquet", group).slice(at, 1)
        length = row.column("length")[0].as_py()
        ids = row.column("tokens")[0].as_py()[:length]
        return Exemplar(
            number,
            row.column("document")[0].as_py(),
            ids,
            [self.vocabulary[token] for token in ids],
            activations[:length].tolist(),
            int(np.argmax(sign * activations[1:length])) + 1,
        )

    def _exemplars_of(self, unit: Unit) -> pa.Table:
        at = self._column(unit)
        name = f"exemplars/{unit.site}-{unit.layer}.parquet"
        each, left = divmod(self._file(name).metadata.num_rows, self.shape.count(unit.place))
        if left:
            raise CorruptError(
                f"{self.folder / name} does not have the same number of rows for each unit"
            )
        per_group = self._file(name).metadata.row_group(0).num_rows // each if each else 1
        group, within = divmod(at, per_group)
        table = self._group(name, group).slice(within * each, each)
        if table.num_rows and table.column("unit")[0].as_py() != at:
            raise CorruptError(
                f"{self.folder / name} has its units in another order than it was written in"
            )
        return table

    @cached_property
    def _contexts_a_group(self) -> int:
        return max(self._file("contexts.parquet").metadata.row_group(0).num_rows, 1)

    def _column(self, unit: Unit) -> int:
        self._check(unit.place)
        return self.shape.column(unit)

    def _check(self, site: Site) -> None:
        if site not in self.sites:
            layers = sorted(s.layer for s in self.sites if s.kind == site.kind)
            has = f"{site.kind} of layers {_spans(layers)}" if layers else "no such sites"
            raise ArgumentError(f"{site.kind}.{site.layer} is not in this index, which has {has}")

    def _table(self, name: str) -> pa.Table:
        with _reading(self.folder / name):
            return self._file(name).read()

    def _documents(self) -> pa.Table:
        return self._table("documents.parquet")

    def _read_group(self, name: str, group: int) -> pa.Table:
        with _reading(self.folder / name):
            return self._file(name).read_row_group(group, use_threads=False)

    def _open(self, name: str) -> pq.ParquetFile:
        with _reading(self.folder / name):
            return pq.ParquetFile(self.folder / name, memory_map=True)


def _chosen(exemplars: list[Exemplar], kind: ExemplarKind, k: int, sign: int) -> list[Exemplar]:
    """Which exemplars, in the order in which they are shown."""
    if kind == "random":
        return exemplars[:k]
    ranked = sorted(exemplars, key=lambda exemplar: -sign * exemplar.activations[exemplar.peak])
    if kind == "top":
        return _repeats_last(
            [exemplar for exemplar in ranked if sign * exemplar.activations[exemplar.peak] > 0]
        )[:k]
    n = min(k, len(ranked))
    return [ranked[(2 * place + 1) * len(ranked) // (2 * n)] for place in range(n)]


def _repeats_last(exemplars: list[Exemplar]) -> list[Exemplar]:
    seen, first, again = set[tuple[int, ...]](), list[Exemplar](), list[Exemplar]()
    for exemplar in exemplars:
        around = tuple(
            exemplar.token_ids[max(0, exemplar.peak - BEFORE_PEAK) : exemplar.peak + AFTER_PEAK + 1]
        )
        (again if around in seen else first).append(exemplar)
        seen.add(around)
    return first + again


def _matrix(column: pa.ChunkedArray) -> Int[np.ndarray, "row seq"] | Float[np.ndarray, "row seq"]:
    width = column.type.list_size
    return (
        pa.concat_arrays(
            [chunk.flatten() for chunk in column.chunks] or [pa.array([], column.type.value_type)]
        )
        .to_numpy(zero_copy_only=False)
        .reshape(-1, width)
    )


def _spans(numbers: Sequence[int]) -> str:
    return (
        ", ".join(map(str, numbers))
        if len(numbers) < 6
        else f"{numbers[0]} to {numbers[-1]} ({len(numbers)} of them)"
    )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowInvalid) as error:
        raise CorruptError(f"{path} cannot be read ({error}); build the index again") from error
