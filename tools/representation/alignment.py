"""Other similarities of every two layers, each with its own idea of what "the same" is.

procrustes  The best rotation of one layer onto the other: the sum of the singular values of Xᵀ Y, over
            |X| |Y|. Equal up to rotation, reflection and scale is 1 (Williams et al., "Generalized
            Shape Metrics on Neural Representations", NeurIPS 2021).
svcca       Mean canonical correlation of the largest principal components. Equal up to any linear map
            is 1, so that it sees what CKA gives little weight to (Raghu et al., NeurIPS 2017).
rsa         Spearman correlation of the distances between every two rows; nothing but distances counts
            (Kriegeskorte, Mur & Bandettini, "Representational Similarity Analysis", 2008).

1. Standardise each layer and reduce it to its `COMPONENTS` largest principal components, once on all
   rows, so that the comparison of every two layers works on small matrices.
2. Compare every two layers on all rows, and without each fold of rows for the intervals (`folds`).

None of them is 0 for unrelated layers, as debiased CKA is: read them against the same layers with their
rows shuffled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float

from ..errors import UsageError
from .cka import FEWEST_ROWS, LayerSimilarity, check_layers
from .folds import fold_of_rows
from .scale import standardise

Alignment = Literal["procrustes", "svcca", "rsa"]
COMPONENTS = 20
"""With 50 components and 2,000 unrelated rows, procrustes and svcca are near 0.15; with 20, near 0.07."""
RSA_ROWS = 500
"""Rows that RSA compares at most, drawn at random: 124,750 distances for each layer."""
FOLDS = 10
"""Each costs as much as the whole."""

Reduced = Sequence[Float[np.ndarray, "row component"]]
"""The principal components of each layer."""


def alignment(
    layers: Sequence[Float[np.ndarray, "row width"]],
    measure: Alignment,
    groups: Sequence[object] | np.ndarray | None = None,
    *,
    seed: int = 0,
) -> LayerSimilarity:
    """Similarity of every two layers on the same rows; they may be of different widths.

    Raises:
        UsageError: as `cka` does.
    """
    n_rows = check_layers(layers)
    fold = fold_of_rows(np.arange(n_rows) if groups is None else groups, seed, FOLDS)
    smallest = n_rows - int(np.bincount(fold).max())
    if smallest < FEWEST_ROWS:
        raise UsageError(
            f"{n_rows} rows given, and only {smallest} without the largest group of rows; "
            f"an interval needs {FEWEST_ROWS}: give more groups"
        )
    reduced = [principal_components(x, f"layer {number}", seed) for number, x in enumerate(layers)]
    compare = _MEASURES[measure]
    if measure == "rsa" and n_rows > RSA_ROWS:
        chosen = np.sort(np.random.default_rng(seed).choice(n_rows, RSA_ROWS, replace=False))
        reduced, fold = [x[chosen] for x in reduced], fold[chosen]
    without = [compare([x[fold != left] for x in reduced]) for left in np.unique(fold)]
    return LayerSimilarity(compare(reduced), np.stack(without))


def principal_components(
    vectors: Float[np.ndarray, "row width"], name: str, seed: int = 0
) -> Float[np.ndarray, "row component"]:
    """The coordinates of the rows on the largest principal components of the standardised columns."""
    from sklearn.decomposition import PCA

    scaled = standardise(vectors, name)
    n = min(COMPONENTS, *scaled.shape)
    coordinates = PCA(n, svd_solver="auto", random_state=seed).fit_transform(scaled)
    spread = coordinates.std(axis=0)
    # Components beyond the rank are rounding errors, which svcca would blow up.
    return coordinates[:, spread > 1e-4 * spread[0]].astype(np.float64)


def _procrustes(reduced: Reduced) -> Float[np.ndarray, "layer layer"]:
    return _by_singular_values([_length_one(_centred(x)) for x in reduced], np.sum)


def _svcca(reduced: Reduced) -> Float[np.ndarray, "layer layer"]:
    return _by_singular_values([np.linalg.qr(_centred(x)).Q for x in reduced], np.mean)


def _rsa(reduced: Reduced) -> Float[np.ndarray, "layer layer"]:
    from scipy.spatial.distance import pdist
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(pdist(x)) for x in reduced])
    return np.corrcoef(ranks).reshape(len(reduced), len(reduced))


_MEASURES: Mapping[Alignment, Callable[[Reduced], np.ndarray]] = {
    "procrustes": _procrustes,
    "svcca": _svcca,
    "rsa": _rsa,
}


def _by_singular_values(
    bases: Reduced, summary: Callable[[np.ndarray], float]
) -> Float[np.ndarray, "layer layer"]:
    """One number from the singular values of Xᵀ Y, for every two layers."""
    n = len(bases)
    values = np.ones((n, n))
    for first in range(n):
        for second in range(first, n):
            singular = np.linalg.svd(bases[first].T @ bases[second], compute_uv=False)
            values[first, second] = values[second, first] = summary(singular)
    return values


def _centred(x: np.ndarray) -> np.ndarray:
    return x - x.mean(axis=0)


def _length_one(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x)
