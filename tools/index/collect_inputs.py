"""What a collect pass reads and writes: the rows of its targets, and the contexts that are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from ..corpus import Contexts
from ..errors import UsageError
from ..subject.address import Site, Unit
from ..subject.subject import Subject


class Column(Protocol):
    """A null or control to collect; see `tools.subject.nulls.ArtificialUnit`.

    `values` are raw activations of a batch, from what was captured at `sources`; `arrange` may
    reorder those of all contexts of a split.
    """

    @property
    def unit(self) -> Unit: ...
    @property
    def sources(self) -> tuple[Site, ...]: ...
    def values(
        self,
        captured: Mapping[Site, Float[Tensor, "batch seq column"]],
        ids: Int[Tensor, "batch seq"],
        /,
    ) -> Float[Tensor, "batch seq"]: ...
    def arrange(
        self,
        values: Float[np.ndarray, "context seq"],
        length: Int[np.ndarray, " context"],
        split: str,
        /,
    ) -> Float[np.ndarray, "context seq"]: ...


class SiteRows(NamedTuple):
    """Rows of the activations that come from one site, and the site's column of each."""

    rows: list[int]
    columns: list[int]


@dataclass(frozen=True)
class CollectedRows:
    """The rows of the activations: first real units, by site, then nulls and controls."""

    names: tuple[str, ...]
    by_site: Mapping[Site, SiteRows]
    extra: Mapping[int, Column]

    @property
    def sources(self) -> list[Site]:
        """Sites that nulls and controls need."""
        return [site for column in self.extra.values() for site in column.sources]

    @property
    def requests(self) -> dict[Site, Sequence[int] | None]:
        """The columns needed of each site; nulls and controls need all."""
        requests: dict[Site, Sequence[int] | None] = {
            site: columns for site, (_, columns) in self.by_site.items()
        }
        return requests | dict.fromkeys(self.sources)


class CollectedText(NamedTuple):
    """A split's contexts to collect, their numbers in the index, and those of their documents."""

    contexts: Contexts
    numbers: Int[np.ndarray, " context"]
    document: Int[np.ndarray, " context"]
    group: Int[np.ndarray, " context"]


def collected_rows(
    subject: Subject, targets: Sequence[Unit], extra: Sequence[Column]
) -> CollectedRows:
    """Assign a row to each target, once for both sides, and to each null or control.

    Raises:
        UsageError: nothing to collect, or one address would be collected twice.
    """
    units = list(dict.fromkeys(unit.unsided for unit in targets))
    by_site: dict[Site, SiteRows] = {}
    for row, unit in enumerate(units):
        site_rows = by_site.setdefault(unit.place, SiteRows([], []))
        site_rows.rows.append(row)
        site_rows.columns.append(subject.shape.column(unit))
    names = tuple(str(unit) for unit in (*units, *(column.unit.unsided for column in extra)))
    if not names:
        raise UsageError("no targets to collect; give at least one")
    if len(set(names)) < len(names):
        duplicate = next(name for name in names if names.count(name) > 1)
        raise UsageError(
            f"{duplicate!r} would be collected twice; give nulls and controls unused addresses"
        )
    return CollectedRows(names, by_site, dict(enumerate(extra, start=len(units))))
