"""What all columns together predict: ridge regression of many signals, the ridge chosen on a fold.

One factorisation of the Gram matrix serves all signals. Some 5,000 concepts take seconds each, so
that the ridge is chosen on one fold left out and not on each in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

RIDGES = (30.0, 100.0, 300.0, 1000.0)
"""Pseudo-positions for each weight."""


def ridge_weights(
    gram: Float[np.ndarray, "columns columns"],
    products: Float[np.ndarray, "columns signals"],
    ridge: float,
) -> Float[np.ndarray, "columns signals"]:
    """Ridge weights of every signal, from centred moments."""
    from scipy.linalg import cho_factor, cho_solve

    penalised = gram.copy()
    penalised[np.diag_indices_from(penalised)] += ridge
    return cho_solve(cho_factor(penalised, overwrite_a=True, check_finite=False), products)


def tuned_weights(
    gram: Float[np.ndarray, "columns columns"],
    products: Float[np.ndarray, "columns signals"],
    gram_without: Float[np.ndarray, "columns columns"],
    products_without: Float[np.ndarray, "columns signals"],
    ridges: Sequence[float] = RIDGES,
) -> tuple[Float[np.ndarray, "columns signals"], Float[np.ndarray, " signals"]]:
    """Weights on all positions with each signal's best ridge, and these ridges.

    Args:
        gram_without, products_without: moments without the fold on which the ridge is chosen.
    """
    left_products, errors = products - products_without, []
    for ridge in ridges:
        weights = ridge_weights(gram_without, products_without, ridge)
        # Two products, since a third matrix of this size would not fit beside the two.
        left = gram @ weights - gram_without @ weights
        errors.append((weights * (left - 2 * left_products)).sum(axis=0))
    best = np.array(ridges)[np.argmin(errors, axis=0)]
    weights = np.zeros_like(products)
    for ridge in np.unique(best):
        alike = best == ridge
        weights[:, alike] = ridge_weights(gram, products[:, alike], float(ridge))
    return weights, best
