"""Erase a concept from vectors: no line can read it afterwards, and nothing else changes more than it must.

1. Centre the vectors x and the labels z (one column for each class). S_xx and S_xz are their
   covariances.
2. W = S_xx^(-1/2), the whitening that is symmetric; directions in which x does not vary are left out.
3. P is the orthogonal projection on the columns of W S_xz: in whitened space the label's directions.
4. The eraser is r(x) = x - W⁺ P W (x - mean).

After it the covariance of x and z is 0, which is so exactly if no linear classifier with a convex loss
does better than a constant. Of all maps with that property this one has the smallest mean squared
change of x.

Belrose et al., "LEACE: Perfect linear concept erasure in closed form" (NeurIPS 2023), theorem 4.3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ..errors import ArgumentError

NO_VARIANCE = 1e-10
"""Of the largest variance: directions with less are left as they are."""


class Eraser(NamedTuple):
    """x minus a map of rank at most K - 1 of x - mean.

    Attributes:
        left, right: the map is left @ right.
    """

    mean: Float[np.ndarray, " width"]
    left: Float[np.ndarray, "width rank"]
    right: Float[np.ndarray, "rank width"]

    def __call__(self, vectors: Float[np.ndarray, "text width"]) -> Float[np.ndarray, "text width"]:
        """The vectors without the concept."""
        return vectors - (vectors - self.mean) @ self.right.T @ self.left.T


def fit_eraser(
    vectors: Float[np.ndarray, "text width"],
    classes: Int[np.ndarray, " text"],
    *,
    shrink: bool = False,
) -> Eraser:
    """The least change after which no line reads the classes off these vectors.

    Args:
        shrink: estimate S_xx by Ledoit and Wolf's shrinkage of standardised dimensions. With fewer
            vectors than dimensions the sample's own S_xx makes an eraser that changes other vectors
            several times as much, and leaves as much of the label in them.

    Raises:
        ArgumentError: there is one class only, or fewer than two vectors.
    """
    names, numbers = np.unique(classes, return_inverse=True)
    if len(names) < 2:
        raise ArgumentError(
            f"erase: all {len(classes)} labels are {names.tolist()}; give vectors of two or more"
        )
    x = np.asarray(vectors, dtype=np.float64)
    mean = x.mean(axis=0)
    centred = x - mean
    z = np.eye(len(names))[numbers]
    z -= z.mean(axis=0)
    variances, axes = np.linalg.eigh(
        _shrunk_covariance(centred) if shrink else centred.T @ centred / len(x)
    )
    kept = variances > NO_VARIANCE * variances.max()
    axes, scale = axes[:, kept], np.sqrt(variances[kept])
    # 3. in the coordinates of the axes, W is a division by their spread
    whitened = (axes / scale).T @ (centred.T @ z / len(x))
    basis, strengths, _ = np.linalg.svd(whitened, full_matrices=False)
    basis = basis[:, strengths > 1e-12 * max(1.0, strengths.max())]
    return Eraser(mean, (axes * scale) @ basis, basis.T @ (axes / scale).T)


def _shrunk_covariance(
    centred: Float[np.ndarray, "text width"],
) -> Float[np.ndarray, "width width"]:
    from sklearn.covariance import ledoit_wolf

    spread = centred.std(axis=0)
    spread[spread == 0] = 1.0
    covariance, _ = ledoit_wolf(centred / spread, assume_centered=True)
    return covariance * np.outer(spread, spread)
