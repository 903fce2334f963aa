"""Look-ups in one split of an index.

Needs no torch. A unit's exemplars cost reading one row group, a few milliseconds, and the check of
the blocks that it is in, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from ..corpus import SPLITS, Contexts, DocumentRow, Split
from ..errors import ArgumentError, CorruptError
from ..subject.address import Shape, Site, Unit
from .float16_range import require_finite
from .index_files import VOCABULARY, IndexFiles

ExemplarKind = Literal["top", "quantile", "random"]
BEFORE_PEAK, AFTER_PEAK = 8, 4
"""Exemplars with the same tokens around their peak count as the same text."""


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
        peak: position of the largest activation on the requested side.
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
    """Reads one split's folder; files are opened on first use and stay open."""

    def __init__(
        self, files: IndexFiles, split: Split, shape: Shape, sites: Sequence[Site]
    ) -> None:
        self._files, self.split, self.shape, self.sites = files, split, shape, frozenset(sites)
        self._group = lru_cache(maxsize=64)(self._read_group)
        self._file = lru_cache(maxsize=256)(self._open)

    @cached_property
    def vocabulary(self) -> list[str]:
        """Each token's text, by id."""
        with self._files.reading(VOCABULARY), pq.ParquetFile(self._files.open(VOCABULARY)) as file:
            return file.read(columns=["string"]).column(0).to_pylist()

    def contexts(self) -> Contexts:
        """All contexts of the split, in the order of their numbers, with the split's documents."""
        table, documents = self._table("contexts.parquet"), self._table("documents.parquet")
        with self._files.reading(f"{self.split}/contexts.parquet"):
            document = table.column("document").to_numpy()
            rows = documents.drop("document").to_pylist()
            return Contexts(
                tokens=_matrix(table.column("tokens")),
                length=table.column("length").to_numpy(),
                document=np.searchsorted(self.document_numbers(), document).astype(np.int32),
                split=np.full(len(table), SPLITS.index(self.split), np.int8),
                documents=tuple(DocumentRow(split=self.split, **row) for row in rows),  # pyright: ignore[reportArgumentType]
            )

    def document_numbers(self) -> Int[np.ndarray, " document"]:
        """Number of each of the split's documents within the whole corpus."""
        with self._files.reading(f"{self.split}/documents.parquet"):
            return self._table("documents.parquet").column("document").to_numpy()

    def statistics(self, unit: Unit) -> UnitStatisticsRow:
        """One unit's statistics."""
        self._check(unit.place)
        column = self.shape.column(unit)
        n, *of_site = self.site_statistics(unit.place)
        values = [float(values[column]) for values in of_site]
        if n:  # a split without tokens has no statistics: NaN
            require_finite(str(unit), np.array(values))
        return UnitStatisticsRow(str(unit), n, *values)

    def site_statistics(self, site: Site) -> SiteStatistics:
        """The statistics of all units of a site."""
        self._check(site)
        # a dictionary has a file to itself
        stem = site.file_stem if site.kind == "sae" else site.kind
        name = f"statistics/{stem}.parquet"
        with self._files.reading(f"{self.split}/{name}"):
            group = 0 if site.kind == "sae" else self._layers(site).index(site.layer)
            table = self._group(name, group)
            columns = [table.column(name).to_numpy() for name in SiteStatistics._fields]
            return SiteStatistics(int(columns[0][0]), *columns[1:])

    def exemplars(
        self, unit: Unit, side: Literal["+", "-"] = "+", kind: ExemplarKind = "top", k: int = 8
    ) -> list[Exemplar]:
        """Contexts with one unit's activations.

        "top": those with the highest peaks on the side, best first; fewer if the unit fires in
        fewer. Texts that occur twice (the same tokens around the peak) are repeated only after all
        others. "quantile": spread evenly over the pool's contexts ordered by their peak, highest
        first. "random": the pool's first.

        Raises:
            ArgumentError: an unknown kind or side, k below 1, or the unit is not in the index.
        """
        if kind not in ("top", "quantile", "random"):
            raise ArgumentError(f"kind {kind!r} given; choose top, quantile or random")
        if side not in ("+", "-") or k < 1:
            raise ArgumentError(f"side {side!r} and k {k!r} given; side is + or -, k at least 1")
        sign = 1 if side == "+" else -1
        with self._files.reading(f"{self.split}/{_exemplars_file(unit)}"):
            table = self._exemplars_of(unit)
            stored = np.asarray(table.column("kind").to_pylist())
            if kind == "top":
                sides = np.asarray(table.column("side").to_pylist())
                rows = np.flatnonzero((stored == "top") & (sides == side))
            else:
                rows = np.flatnonzero(stored == "random")
            numbers = table.column("context").to_numpy()[rows].tolist()
            activations = _matrix(table.column("activations"))[rows].astype(np.float32)
            require_finite(str(unit), activations)
            pairs = zip(numbers, activations, strict=True)
            exemplars = [self._exemplar(number, values, sign) for number, values in pairs]
        return select_exemplars(exemplars, kind, k, sign)

    def _exemplar(self, number: int, activations: Float[np.ndarray, " seq"], sign: int) -> Exemplar:
        group, offset = divmod(number, self._contexts_a_group)
        row = self._group("contexts.parquet", group).slice(offset, 1)
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
        """A unit's rows: units have the same number of rows each, in the order of their columns."""
        self._check(unit.place)
        column = self.shape.column(unit)
        name = _exemplars_file(unit)
        metadata = self._file(name).metadata
        each, remainder = divmod(metadata.num_rows, self.shape.count(unit.place))
        if remainder:
            raise CorruptError(
                f"{self._files.folder / self.split / name} does not have the same number of rows "
                f"for each unit; {self._files.cure}"
            )
        units_a_group = metadata.row_group(0).num_rows // each if each else 1
        group, offset = divmod(column, units_a_group)
        table = self._group(name, group).slice(offset * each, each)
        if table.num_rows and table.column("unit")[0].as_py() != column:
            raise CorruptError(
                f"{self._files.folder / self.split / name} has its units in an unexpected order; "
                f"{self._files.cure}"
            )
        return table

    @cached_property
    def _contexts_a_group(self) -> int:
        return max(self._file("contexts.parquet").metadata.row_group(0).num_rows, 1)

    def _check(self, site: Site) -> None:
        if site not in self.sites:
            if site.kind == "sae":
                known = ", ".join(str(s) for s in sorted(self.sites) if s.kind == "sae")
                raise ArgumentError(
                    f"{site} is not in this index, which has the dictionaries {known or '(none)'}"
                )
            layers = self._layers(site)
            if len(layers) < 6:
                numbers = ", ".join(map(str, layers))
            else:
                numbers = f"{layers[0]} to {layers[-1]} ({len(layers)} of them)"
            content = f"{site.kind} of layers {numbers}" if layers else "no such sites"
            raise ArgumentError(f"{site} is not in this index, which has {content}")

    def _layers(self, site: Site) -> list[int]:
        """The indexed layers of a site's kind."""
        return sorted(s.layer for s in self.sites if s.kind == site.kind)

    def _table(self, name: str) -> pa.Table:
        with self._files.reading(f"{self.split}/{name}"):
            return self._file(name).read()

    def _read_group(self, name: str, group: int) -> pa.Table:
        with self._files.reading(f"{self.split}/{name}"):
            return self._file(name).read_row_group(group, use_threads=False)

    def _open(self, name: str) -> pq.ParquetFile:
        with self._files.reading(f"{self.split}/{name}"):
            return pq.ParquetFile(self._files.open(f"{self.split}/{name}"))


def _exemplars_file(unit: Unit) -> str:
    return f"exemplars/{unit.place.file_stem}.parquet"


def select_exemplars(
    exemplars: list[Exemplar], kind: ExemplarKind, k: int, sign: int
) -> list[Exemplar]:
    """At most k exemplars of a kind, in the order in which they are shown."""
    if kind == "random":
        return exemplars[:k]
    ranked = sorted(exemplars, key=lambda e: -sign * e.activations[e.peak])
    if kind == "top":
        firing = [e for e in ranked if sign * e.activations[e.peak] > 0]
        return _repeats_last(firing)[:k]
    # The middles of n equal parts.
    n = min(k, len(ranked))
    return [ranked[(2 * i + 1) * len(ranked) // (2 * n)] for i in range(n)]


def _repeats_last(exemplars: list[Exemplar]) -> list[Exemplar]:
    seen, first, repeated = set[tuple[int, ...]](), list[Exemplar](), list[Exemplar]()
    for exemplar in exemplars:
        start, stop = max(0, exemplar.peak - BEFORE_PEAK), exemplar.peak + AFTER_PEAK + 1
        around = tuple(exemplar.token_ids[start:stop])
        (repeated if around in seen else first).append(exemplar)
        seen.add(around)
    return first + repeated


def _matrix(column: pa.ChunkedArray) -> Int[np.ndarray, "row seq"] | Float[np.ndarray, "row seq"]:
    """A column of lists of equal length as a matrix."""
    empty = pa.array([], column.type.value_type)
    flat = pa.concat_arrays([chunk.flatten() for chunk in column.chunks] or [empty])
    return flat.to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size)
