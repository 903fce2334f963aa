"""Units like a unit: by what they write or read (`by_direction`), or by when they are active
(`by_coactivation`).

Both are instruments for one unit (`nearest`, `coactivating`) and functions for all targets of a run
at once. Not here: what a page says about the units that are listed.
"""

from __future__ import annotations

from .by_coactivation import coactive_targets, similar_collected_units
from .by_direction import nearest_by_direction
from .result import SimilarUnit, SimilarUnits, relative_depth

__all__ = [
    "SimilarUnit",
    "SimilarUnits",
    "coactive_targets",
    "nearest_by_direction",
    "relative_depth",
    "similar_collected_units",
]
