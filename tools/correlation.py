"""Pearson r of two arrays, for tools, which may not import `evals`."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def pearson(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float:
    """Pearson r; 0 where one of the two does not vary."""
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size else 0.0
