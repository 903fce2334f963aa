"""Debiased linear CKA of every two layers: how alike they arrange the same texts.

1. Centre each layer's vectors, and standardise their columns (see `scale`).
2. K = X Xᵀ holds the inner products of every two rows, without its diagonal. The unbiased estimate of
   HSIC for two layers needs three sums: t = sum(K * L), the row sums k and l, and s = sum(k):
       HSIC(K, L) = (t + s_K s_L / ((n - 1)(n - 2)) - 2 k·l / (n - 2)) / (n (n - 3))
3. CKA(K, L) = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)). It is 1 for a layer and itself, does not change
   with rotation or scale, and is 0 on average where the rows of two layers have nothing in common. The
   usual biased estimate approaches 1 there when there are more columns than rows.
4. Rows are sorted by fold, and t is kept for every two folds. What t, k and s would be without a fold
   is then a subtraction, which gives the intervals (`folds`) at no further cost.
5. The sums come from one of two forms, whichever is cheaper and fits. *Gram*: the rows of K of one fold,
   for all layers at a time; the sums of all pairs of layers are one matrix product. *Features*:
   t = |Xᵀ Y|² - sum(|x_i|² |y_i|²), one pair of layers at a time, for many rows. Neither ever holds an
   array of rows by rows.

Kornblith et al., "Similarity of Neural Network Representations Revisited" (ICML 2019); Nguyen, Raghu &
Kornblith, "Do Wide and Deep Networks Learn the Same Things?" (ICLR 2021); Song et al., "Feature
Selection via Dependence Maximization" (JMLR 2012) for the estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from ..errors import UsageError
from .cka_sums import Layers, RowSums, ScaledRows, feature_products, gram_products, row_sums
from .folds import FOLDS, JackknifeInterval, fold_of_rows, jackknife

FEWEST_ROWS = 20
"""The estimate needs 4. With fewer than 20 its interval is wider than its range."""
GRAM_BYTES = 256 << 20
"""Of the standardised copy of all layers that the Gram form works on; its blocks are smaller."""

Form = Literal["gram", "features"]


@dataclass(frozen=True, eq=False)
class LayerSimilarity:
    """The similarity of every two layers, and the same without each fold of rows.

    NaN where a layer has no structure that its rows share (an HSIC of 0 or less with itself).
    """

    values: Float[np.ndarray, "layer layer"]
    without: Float[np.ndarray, "fold layer layer"]

    def interval(
        self, statistic: Callable[[Float[np.ndarray, "layer layer"]], float], level: float = 0.95
    ) -> JackknifeInterval:
        """A number that is computed from the matrix, with its interval over folds."""
        without = np.array([statistic(matrix) for matrix in self.without])
        return jackknife(statistic(self.values), without, level)


def cka(
    layers: Layers,
    groups: Sequence[object] | np.ndarray | None = None,
    *,
    standardise: bool = True,
    seed: int = 0,
    folds: int = FOLDS,
    form: Form | None = None,
) -> LayerSimilarity:
    """Debiased linear CKA of every two layers on the same rows; they may be of different widths.

    Args:
        groups: rows of one group are never split between folds; None: each row is its own.
        form: None for the cheaper one.

    Raises:
        UsageError: too few rows or groups, layers with different rows, or one that is constant.
    """
    n_rows = check_layers(layers)
    fold = fold_of_rows(np.arange(n_rows) if groups is None else groups, seed, folds)
    if len(fold) != n_rows:
        raise UsageError(f"{len(fold)} groups given for {n_rows} rows; give one for each row")
    rows = ScaledRows.of(layers, fold, standardise)
    if (form or cheaper_form(layers)) == "gram":
        rows = rows.computed_once()
        products = gram_products(rows)
    else:
        products = feature_products(rows)
    values = normalised(hsic(products, row_sums(rows), rows.left))
    return LayerSimilarity(values[0], values[1:])


def hsic(
    products: Float[np.ndarray, "left layer layer"],
    sums: RowSums,
    n_rows: Float[np.ndarray, " left"],
) -> Float[np.ndarray, "left layer layer"]:
    """The unbiased estimate for every two layers, on all rows and without each fold."""
    n = n_rows[:, None, None]
    sums_product = sums.total[:, :, None] * sums.total[:, None, :]
    correction = sums_product / ((n - 1) * (n - 2)) - 2 * sums.products / (n - 2)
    return (products + correction) / (n * (n - 3))


def normalised(
    values: Float[np.ndarray, "left layer layer"],
) -> Float[np.ndarray, "left layer layer"]:
    """HSIC as CKA; NaN where that of a layer with itself is not above 0."""
    own = np.diagonal(values, axis1=1, axis2=2)
    length = np.sqrt(np.where(own > 0, own, np.nan))
    return values / (length[:, :, None] * length[:, None, :])


def check_layers(layers: Layers) -> int:
    """The number of rows, which all layers share.

    Raises:
        UsageError: they do not, or there are too few rows or layers.
    """
    counts = {len(layer) for layer in layers}
    if len(counts) != 1:
        raise UsageError(
            f"layers with {sorted(counts)} rows given; expected the same rows in all of them: "
            "compute them on the same texts"
        )
    (n_rows,) = counts
    if n_rows < FEWEST_ROWS:
        raise UsageError(f"{n_rows} rows given; similarity needs at least {FEWEST_ROWS} texts")
    return n_rows


def cheaper_form(layers: Layers) -> Form:
    """Gram: n² sum(width) multiplications; features: n sum(width)² / 2 for the pairs of layers."""
    n_rows, width = len(layers[0]), sum(layer.shape[1] for layer in layers)
    return "gram" if n_rows < width and n_rows * width * 4 <= GRAM_BYTES else "features"
