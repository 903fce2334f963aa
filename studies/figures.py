"""Figures of a study as plain numbers, which the review page and reports draw.

Missing numbers are None. All are frozen values that `jsonable` writes; `kind` says which one it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..tools.errors import UsageError

Number: TypeAlias = float | None


@dataclass(frozen=True)
class PlottedLine:
    """One line of `LinePlot`: y over x, with the ends of an interval where it has one."""

    name: str
    x: Sequence[float]
    y: Sequence[Number]
    low: Sequence[Number] = ()
    high: Sequence[Number] = ()
    is_control: bool = False
    """Drawn behind the others, since it is what they are held against."""

    def __post_init__(self) -> None:
        for values in (self.y, *(ends for ends in (self.low, self.high) if ends)):
            _check_length(f"line {self.name!r}", values, len(self.x))


@dataclass(frozen=True)
class LinePlot:
    """Lines over a common axis, such as accuracy by layer."""

    name: str
    title: str
    x_label: str
    y_label: str
    lines: Sequence[PlottedLine]
    kind: Literal["lines"] = field(default="lines", init=False)


@dataclass(frozen=True)
class HeatMap:
    """A matrix with a label for each row and column."""

    name: str
    title: str
    x_label: str
    y_label: str
    columns: Sequence[str]
    rows: Sequence[str]
    values: Sequence[Sequence[Number]]
    """rows x columns."""
    centre: float | None = None
    """The value that is drawn as neutral, for differences; None: colours go from low to high."""
    kind: Literal["heat map"] = field(default="heat map", init=False)

    def __post_init__(self) -> None:
        _check_length(f"heat map {self.name!r}", self.values, len(self.rows))
        for row in self.values:
            _check_length(f"a row of heat map {self.name!r}", row, len(self.columns))


@dataclass(frozen=True)
class ScatterPlot:
    """Points with a text each; `groups` colours them, and each group can be chosen."""

    name: str
    title: str
    x_label: str
    y_label: str
    x: Sequence[float]
    y: Sequence[float]
    texts: Sequence[str]
    groups: Sequence[str] = ()
    kind: Literal["scatter"] = field(default="scatter", init=False)

    def __post_init__(self) -> None:
        for values in (self.y, self.texts, *([self.groups] if self.groups else [])):
            _check_length(f"scatter {self.name!r}", values, len(self.x))


@dataclass(frozen=True)
class BarChart:
    """A value for each name, with its interval and its control."""

    name: str
    title: str
    value_label: str
    names: Sequence[str]
    values: Sequence[Number]
    low: Sequence[Number] = ()
    high: Sequence[Number] = ()
    control: Sequence[Number] = ()
    kind: Literal["bars"] = field(default="bars", init=False)

    def __post_init__(self) -> None:
        for values in (self.values, *(v for v in (self.low, self.high, self.control) if v)):
            _check_length(f"bars {self.name!r}", values, len(self.names))


Figure: TypeAlias = LinePlot | HeatMap | ScatterPlot | BarChart


def _check_length(what: str, values: Sequence[object], expected: int) -> None:
    if len(values) != expected:
        raise UsageError(f"{what} has {len(values)} values where {expected} are expected")
