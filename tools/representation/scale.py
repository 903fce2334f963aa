"""Centre and standardise vectors before anything compares them.

In the middle layers of many language models a few dimensions are a hundred times larger than the rest
(dimension 507 of SmolLM2-135M's layer 15 has a mean of 117). Cosines, CKA and concept directions of raw
vectors are about these dimensions alone.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from jaxtyping import Float

from ..errors import UsageError

CONSTANT = 1e-6
"""Of a column's largest magnitude: float32 rounding spreads a constant column by less."""


class ColumnScale(NamedTuple):
    """What to subtract from each column, and what to divide it by."""

    mean: Float[np.ndarray, " width"]
    divisor: Float[np.ndarray, " width"]

    @classmethod
    def of(
        cls, vectors: Float[np.ndarray, "row width"], name: str, standardise: bool = True
    ) -> Self:
        """Mean and deviation of each column; a constant column is centred and left at 0.

        Args:
            name: what the vectors are, for the message.
            standardise: whether to divide by the deviation, and not by one number for all columns.

        Raises:
            UsageError: the vectors are no table, are not finite, or are the same in every row.
        """
        vectors = np.asarray(vectors)
        if vectors.ndim != 2 or 0 in vectors.shape:
            raise UsageError(f"{name} has the shape {vectors.shape}; expected [rows, columns]")
        mean = vectors.mean(axis=0, dtype=np.float64)
        deviation = vectors.std(axis=0, dtype=np.float64)
        if not np.isfinite(deviation).all():
            raise UsageError(f"{name} has numbers that are not finite; leave out these rows")
        deviation[deviation <= CONSTANT * np.abs(mean)] = 0
        if not deviation.any():
            raise UsageError(f"{name} is the same in all {len(vectors)} rows; give different texts")
        if not standardise:
            deviation = np.where(deviation > 0, np.sqrt((deviation**2).mean()), 0)
        return cls(mean, np.where(deviation > 0, deviation, np.inf))

    def apply(self, vectors: Float[np.ndarray, "row width"]) -> Float[np.ndarray, "row width"]:
        """The vectors on this scale, in float32."""
        mean, divisor = self.mean.astype(np.float32), self.divisor.astype(np.float32)
        return (np.asarray(vectors, dtype=np.float32) - mean) / divisor


def standardise(vectors: Float[np.ndarray, "row width"], name: str) -> np.ndarray:
    """The vectors with mean 0 and deviation 1 in each column, in float32."""
    return ColumnScale.of(vectors, name).apply(vectors)
