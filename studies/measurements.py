"""Measurements of a study: made once under a name, then read back.

Everything that needs a subject or a data set is a measurement. What follows from measurements is
pure, so that a study resumes and replays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np

Measured: TypeAlias = "Mapping[str, np.ndarray]"
"""Arrays by name, of numbers or of texts (numpy's fixed-width unicode)."""


class Measurements:
    """Keeps measurements in memory. A run keeps them in its folder (`agent/studies`)."""

    def __init__(self) -> None:
        self._kept: dict[str, Measured] = {}

    def measured(self, name: str, measure: Callable[[], Measured]) -> Measured:
        """The arrays of a measurement, which is made if there is none of that name."""
        if name not in self._kept:
            self._kept[name] = measure()
        return self._kept[name]
