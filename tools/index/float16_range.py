"""Activations that float16, in which exemplars and collected activations are stored, cannot hold.

They are stored as infinity, and every reader refuses a unit that has one: a clipped number would be
wrong, and the other units can still be used.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ..errors import UsageError

LARGEST = 65504.0
"""The largest number of float16."""


def require_finite(unit: str, *arrays: Float[np.ndarray, "*shape"]) -> None:
    """Raise UsageError if what is stored of a unit has a number that is not finite."""
    if not all(np.isfinite(array).all() for array in arrays):
        raise UsageError(
            f"{unit} has activations beyond ±{LARGEST:,.0f}, the range of float16 in which they are "
            "stored, so nothing can be said about it; choose other units"
        )
