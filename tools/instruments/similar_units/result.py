"""The units most like a unit: how they are collected, and how they are recorded."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    from ...subject import Unit

N_RECORDED = 8
"""Similar units that a run records for each target; a quarter as many opposite ones."""

Depth = Literal["earlier", "same", "later"]
DEPTH_PHRASES: dict[Depth, str] = {
    "earlier": "earlier in the model",
    "same": "beside it",
    "later": "later in the model",
}


def relative_depth(other: int, layer: int) -> Depth:
    """Where a layer is, seen from another: the only layer information a blinded explainer gets."""
    if other == layer:
        return "same"
    return "earlier" if other < layer else "later"


class SimilarUnit(NamedTuple):
    """A unit by its address, and its cosine or its correlation."""

    unit: str
    value: float


class SimilarUnits(NamedTuple):
    """The units most like one unit, and the most opposite ones, as a run's log has them.

    Attributes:
        by: what is compared: what neurons "write", what heads "move", or "together" for being
            active together.
        compared: with how many units.
    """

    by: str
    compared: int
    alike: list[SimilarUnit]
    opposite: list[SimilarUnit]


class Extremes:
    """The `k` largest and the `k` smallest values among many units, which come a batch at a time."""

    def __init__(self, k: int) -> None:
        self._k = k
        self._kept: list[SimilarUnit] = []  # the largest first
        self.compared = 0

    def add(
        self,
        values: Float[np.ndarray, " unit"],
        unit: Callable[[int], Unit],
        skip: Collection[int] = (),
    ) -> None:
        """Take the values of more units; `unit` gives the unit at an index, `skip` is not compared."""
        k = min(self._k + len(skip), len(values))  # those to skip may be among the extremes
        largest, smallest = (np.argpartition(v, k - 1)[:k].tolist() for v in (-values, values))
        for index in {*largest, *smallest}.difference(skip):
            self._kept.append(SimilarUnit(str(unit(index)), float(values[index])))
        self._kept.sort(key=lambda similar: (-similar.value, similar.unit))
        if len(self._kept) > 2 * self._k:
            self._kept = [*self._kept[: self._k], *self._kept[-self._k :]]
        self.compared += len(values) - len(skip)

    def largest(self) -> list[SimilarUnit]:
        """The largest values, the largest first."""
        return self._kept[: self._k]

    def smallest(self) -> list[SimilarUnit]:
        """The smallest values, the smallest first."""
        return self._kept[::-1][: self._k]

    def recorded(
        self, by: str, rounding: Callable[[float], float], at_least: float = 0.0
    ) -> SimilarUnits:
        """What a run records: alike units with a value above `at_least`, opposite ones below 0."""
        alike = [unit for unit in self.largest() if unit.value > at_least]
        opposite = [unit for unit in self.smallest()[: N_RECORDED // 4] if unit.value < 0]
        return SimilarUnits(
            by,
            self.compared,
            [SimilarUnit(unit, rounding(value)) for unit, value in alike],
            [SimilarUnit(unit, rounding(value)) for unit, value in opposite],
        )
