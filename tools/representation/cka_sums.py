"""The sums that debiased CKA needs, over all rows and without each fold of rows.

K = X Xᵀ of a layer has its diagonal set to 0. `cka` says what the sums are for. Arrays with an axis
`left` have one entry for all rows and then one without each fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
from jaxtyping import Float, Int

from .scale import ColumnScale

Layers = Sequence[Float[np.ndarray, "row width"]]


@dataclass(frozen=True, eq=False)
class ScaledRows:
    """Vectors of each layer, centred and scaled when they are asked for, with rows in order of fold.

    Attributes:
        order: the rows of the layers, sorted by fold.
        parts: where each fold is in that order.
        scales: of each layer; None where the layers are scaled and sorted already.
    """

    layers: Layers
    order: Int[np.ndarray, " row"]
    parts: tuple[slice, ...]
    scales: tuple[ColumnScale, ...] | None

    @classmethod
    def of(cls, layers: Layers, fold: Int[np.ndarray, " row"], standardise: bool) -> Self:
        """Rows of one fold are put next to each other."""
        order = np.argsort(fold, kind="stable")
        edges = np.searchsorted(fold[order], np.arange(fold.max() + 2)).tolist()
        scales = tuple(
            ColumnScale.of(layer, f"layer {number}", standardise)
            for number, layer in enumerate(layers)
        )
        return cls(layers, order, tuple(slice(*each) for each in pairwise(edges)), scales)

    def computed_once(self) -> Self:
        """The same with all vectors in memory."""
        scaled = [self.rows(layer) for layer in range(len(self.layers))]
        return type(self)(scaled, self.order, self.parts, None)

    def rows(self, layer: int, part: slice = slice(None)) -> Float[np.ndarray, "row width"]:
        """Rows of a layer, in float32."""
        if self.scales is None:
            return self.layers[layer][part]
        return self.scales[layer].apply(self.layers[layer][self.order[part]])

    @property
    def left(self) -> Float[np.ndarray, " left"]:
        """How many rows there are."""
        n = len(self.order)
        return np.array([n, *(n - (part.stop - part.start) for part in self.parts)], dtype=float)


def gram_products(rows: ScaledRows) -> Float[np.ndarray, "left layer layer"]:
    """sum(K * L) of every two layers, from blocks of K of all layers."""
    n_folds, n_layers = len(rows.parts), len(rows.layers)
    products = np.zeros((n_folds, n_folds, n_layers, n_layers))
    for first, own in enumerate(rows.parts):
        rest = slice(own.start, None)  # K is symmetric: of each two folds one block is enough
        block = np.stack([rows.rows(n, own) @ rows.rows(n, rest).T for n in range(n_layers)])
        diagonal = np.arange(own.stop - own.start)
        block[:, diagonal, diagonal] = 0
        for second in range(first, n_folds):
            other = rows.parts[second]
            columns = block[:, :, other.start - own.start : other.stop - own.start]
            flat = columns.reshape(n_layers, -1)
            products[first, second] = products[second, first] = flat @ flat.T
    of_fold = products.sum(axis=1)
    total = of_fold.sum(axis=0)
    own_products = products[np.arange(n_folds), np.arange(n_folds)]
    return np.concatenate([total[None], total - 2 * of_fold + own_products])


def feature_products(rows: ScaledRows) -> Float[np.ndarray, "left layer layer"]:
    """The same from Xᵀ Y of one pair of layers at a time."""
    n_layers = len(rows.layers)
    products = np.zeros((len(rows.parts) + 1, n_layers, n_layers))
    for first in range(n_layers):
        x = rows.rows(first)
        for second in range(first, n_layers):
            value = _feature_product(rows, x, second)
            products[:, first, second] = products[:, second, first] = value
    return products


def _feature_product(
    rows: ScaledRows, x: Float[np.ndarray, "row width"], second: int
) -> Float[np.ndarray, " left"]:
    """|Xᵀ Y|² - sum(|x_i|² |y_i|²) on all rows and without each fold."""
    crossed: list[np.ndarray] = []
    on_diagonal: list[float] = []
    for part in rows.parts:
        y = rows.rows(second, part)
        crossed.append(x[part].T @ y)
        on_diagonal.append(float(squared_lengths(x[part]) @ squared_lengths(y)))
    total, total_diagonal = np.sum(crossed, axis=0), sum(on_diagonal)
    values = [_squared_norm(total) - total_diagonal]
    for part, diagonal in zip(crossed, on_diagonal, strict=True):
        values.append(_squared_norm(total - part) - total_diagonal + diagonal)
    return np.array(values)


def _squared_norm(matrix: np.ndarray) -> float:
    flat = matrix.ravel()
    return float(flat @ flat)


def squared_lengths(vectors: Float[np.ndarray, "row width"]) -> Float[np.ndarray, " row"]:
    """|x|² of each row, in float64."""
    return np.einsum("nd,nd->n", vectors, vectors).astype(np.float64)


class RowSums(NamedTuple):
    """What is needed of the row sums of each layer's K.

    Attributes:
        total: the sum of all of them.
        products: their inner product for every two layers.
    """

    total: Float[np.ndarray, "left layer"]
    products: Float[np.ndarray, "left layer layer"]


def row_sums(rows: ScaledRows) -> RowSums:
    """Row sums from x_i · sum(x_j), without K."""
    n_folds, n_layers = len(rows.parts), len(rows.layers)
    summed = [
        np.stack([rows.rows(layer, part).sum(axis=0) for part in rows.parts])
        for layer in range(n_layers)
    ]
    total = np.zeros((n_folds + 1, n_layers))
    products = np.zeros((n_folds + 1, n_layers, n_layers))

    def add(left: int, sums: Float[np.ndarray, "layer row"]) -> None:
        total[left] += sums.sum(axis=1)
        products[left] += sums @ sums.T

    for fold, part in enumerate(rows.parts):
        by_fold = np.empty((n_layers, part.stop - part.start, n_folds))
        for layer in range(n_layers):
            x = rows.rows(layer, part)
            by_fold[layer] = x @ summed[layer].T
            by_fold[layer, :, fold] -= squared_lengths(x)  # the diagonal of K
        over_all = by_fold.sum(axis=2)
        add(0, over_all)
        for other in set(range(n_folds)) - {fold}:
            add(other + 1, over_all - by_fold[:, :, other])
    return RowSums(total, products)
