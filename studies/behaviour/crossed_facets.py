"""Cells of two crossed facets, such as label and length, with the accuracy in each.

1. A cell holds the texts with one value of the first facet and one of the second.
2. Cells of fewer groups than an interval needs are left out, and counted.
3. Every other cell is tested: are errors more frequent in it than in all other texts? Cells are given by
   the columns and not chosen by their errors, so that all texts test them, and all of them count for
   the level.

After the facets of Tenney et al., "The Language Interpretability Tool" (EMNLP 2020), which show such
cells and test none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...evals.statistics.grouped import LEAST_GROUPS
from ...tools.errors import UsageError
from ..figures import HeatMap, Number

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Shaped


@dataclass(frozen=True, eq=False)
class CrossedFacets:
    """The cells of two facets that have enough groups, and the texts of the others."""

    facets: tuple[str, str]
    cells: Mapping[tuple[str, str], Bool[np.ndarray, " text"]]
    left_out: Bool[np.ndarray, " text"]
    n_left_out: int

    def name(self, cell: tuple[str, str]) -> str:
        """What a cell is called."""
        return " and ".join(f"{f} {value}" for f, value in zip(self.facets, cell, strict=True))


def check_facets(facets: Sequence[str], known: Sequence[str]) -> None:
    """Check that there are no facets to cross, or two different ones.

    Raises:
        UsageError: another number, unknown ones, or two that decide what is right.
    """
    given = " ".join(facets)
    if len(set(facets)) != len(facets) or len(facets) not in (0, 2):
        raise UsageError(
            f"cross {given!r} given; expected two different columns, as in label length"
        )
    unknown = [facet for facet in facets if facet not in known]
    if unknown:
        raise UsageError(
            f"cross {given!r} given; there is no {unknown[0]!r}, but {', '.join(known)}"
        )
    if set(facets) == {"label", "answer"}:
        raise UsageError(
            f"cross {given!r} given; whether an answer is right follows from these two: cross one of "
            "them with another column"
        )


def cross_facets(
    facets: tuple[str, str],
    columns: Mapping[str, Shaped[np.ndarray, " text"]],
    group: Int[np.ndarray, " text"],
) -> CrossedFacets:
    """The cells of two columns; each needs enough groups, and so do the texts outside of it."""
    values = [columns[facet].astype(str) for facet in facets]
    pairs, cell_of = np.unique(np.stack(values), axis=1, return_inverse=True)
    n_groups = np.bincount(np.unique(np.stack([cell_of.ravel(), group]), axis=1)[0])
    cells: dict[tuple[str, str], np.ndarray] = {}
    left_out = np.zeros(len(group), dtype=bool)
    for number, (first, second) in enumerate(pairs.T.tolist()):
        inside = cell_of.ravel() == number
        outside = len(np.unique(group[~inside])) if n_groups[number] >= LEAST_GROUPS else 0
        if outside >= LEAST_GROUPS:
            cells[first, second] = inside
        else:
            left_out |= inside
    return CrossedFacets(facets, cells, left_out, len(n_groups) - len(cells))


def draw_cells(crossed: CrossedFacets, right: Float[np.ndarray, " text"]) -> HeatMap:
    """Accuracy in each cell; cells that were left out are empty."""
    rows, columns = (list(dict.fromkeys(values)) for values in zip(*crossed.cells, strict=True))
    accuracy: list[list[Number]] = [[None] * len(columns) for _ in rows]
    for (first, second), inside in crossed.cells.items():
        accuracy[rows.index(first)][columns.index(second)] = float(right[inside].mean())
    first, second = crossed.facets
    title = f"Accuracy by {first} and {second}"
    if crossed.n_left_out:
        title += f"; {crossed.n_left_out} cells of fewer than {LEAST_GROUPS} groups left out"
    return HeatMap("cells", title, second, first, columns, rows, accuracy, float(right.mean()))
