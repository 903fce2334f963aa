"""The best few columns of a regression, from their moments: exhaustively for three, greedily for more.

1. Columns and signal are centred. What a set S explains of the signal with weights fitted is
   b' A^-1 b, with A the Gram matrix of S plus a ridge and b its products with the signal.
2. Three: take each first column out of the Gram matrix and the products (a Schur complement); what
   each pair of the others then adds is a formula over the whole matrix at once. No triple is left
   out. Of the best triple of each first column, the one with the least cross-validated error.
3. More: add the column that explains most with all weights fitted again; then exchange single
   columns for any other as long as that explains more (forward selection with swaps).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from scipy.sparse import csr_matrix

SWAP_GAIN = 1 + 1e-9
"""A swap must explain this many times as much, so that rounding cannot swap for ever."""


@dataclass(frozen=True)
class Moments:
    """Centred sums of squares and products of columns, and of each column with a signal.

    Attributes:
        gram: column x column; product: with the signal; total: the signal's own sum of squares.
    """

    gram: Float[np.ndarray, "columns columns"]
    product: Float[np.ndarray, "columns"]
    total: float

    def take(self, chosen: Int[np.ndarray, " chosen"]) -> Moments:
        """The same of some columns."""
        return Moments(self.gram[np.ix_(chosen, chosen)], self.product[chosen], self.total)

    def weights(self, chosen: Int[np.ndarray, " chosen"], ridge: float) -> np.ndarray:
        """The ridge weights of some columns; the intercept is not shrunk."""
        part = self.take(chosen)
        return np.linalg.solve(part.gram + ridge * np.eye(len(chosen)), part.product)

    def r(self, chosen: Int[np.ndarray, " chosen"], weights: Float[np.ndarray, " chosen"]) -> float:
        """Pearson r of a weighted sum of columns and the signal; 0 if one of them is constant."""
        part = self.take(chosen)
        size = float(weights @ part.gram @ weights) * part.total
        return float(weights @ part.product / np.sqrt(size)) if size > 0 else 0.0


def centred_gram(rows: csr_matrix) -> Float[np.ndarray, "columns columns"]:
    """Centred Gram matrix of 0/1 columns, given as rows of a sparse matrix."""
    counts = np.asarray(rows.sum(axis=1)).ravel()
    gram = np.asarray((rows @ rows.T).todense())
    gram -= np.outer(counts, counts / max(1, (rows.shape or (0, 0))[1]))
    return gram


def moments_of(
    gram: Float[np.ndarray, "columns columns"],
    rows: csr_matrix,
    signal: Float[np.ndarray, "positions"],
) -> Moments:
    """The moments of columns whose Gram matrix is known, with a signal."""
    centred = signal - signal.mean()
    return Moments(gram, rows @ centred, float(centred @ centred))


# ------------------------------------------------------------------ 2. three


def best_triples(moments: Moments, ridge: float) -> Int[np.ndarray, "firsts 3"]:
    """For each first column the two later ones that explain most with it; no triple is left out."""
    gram = moments.gram + ridge * np.eye(len(moments.gram))
    triples: list[tuple[int, int, int]] = []
    for first in range(len(gram) - 2):
        later = slice(first + 1, None)
        along = gram[first, later] / gram[first, first]
        rest = gram[later, later] - np.outer(along, gram[first, later])
        product = moments.product[later] - along * moments.product[first]
        pair = int(np.argmax(_gain_of_pairs(rest, product)))
        second, third = sorted(np.unravel_index(pair, rest.shape))
        triples.append((first, first + 1 + int(second), first + 1 + int(third)))
    return np.array(triples, dtype=np.int64).reshape(-1, 3)


def _gain_of_pairs(
    gram: Float[np.ndarray, "columns columns"], product: Float[np.ndarray, "columns"]
) -> Float[np.ndarray, "columns columns"]:
    """What columns j and k explain together; -inf where they are the same."""
    squares = np.outer(product**2, gram.diagonal())
    explained = squares + squares.T - 2 * np.outer(product, product) * gram
    diagonal = gram.diagonal()
    explained /= np.maximum(np.outer(diagonal, diagonal) - gram**2, 1e-12)
    np.fill_diagonal(explained, -np.inf)
    return explained


def least_error(
    triples: Int[np.ndarray, "triples k"],
    whole: Moments,
    without: list[Moments],
    ridge: float,
) -> Int[np.ndarray, " k"]:
    """Of some sets of columns, the one that predicts best where its weights were not fitted.

    Args:
        whole: moments on all positions; without: on all but one fold, for each fold.
    """
    errors = np.zeros(len(triples))
    index = triples[:, :, None], triples[:, None, :]
    for part in without:
        grams = part.gram[index] + ridge * np.eye(triples.shape[1])
        weights = np.linalg.solve(grams, part.product[triples][:, :, None])[:, :, 0]
        # Moments of the fold left out, with its means as they differ from the others'.
        left_gram = (whole.gram - part.gram)[index]
        left_product = (whole.product - part.product)[triples]
        errors += np.einsum("tj,tjk,tk->t", weights, left_gram, weights)
        errors -= 2 * (weights * left_product).sum(axis=1)
    return triples[int(np.argmin(errors))]


# ------------------------------------------------------------------- 3. more


def best_subset(moments: Moments, size: int, ridge: float) -> Int[np.ndarray, " chosen"]:
    """Forward selection of columns with swaps until none explains more."""
    diagonal = moments.gram.diagonal() + ridge
    chosen: list[int] = []
    while len(chosen) < min(size, len(diagonal)):
        chosen.append(int(np.argmax(_added(moments, chosen, diagonal, ridge))))
    explained, changed = _explained(moments, chosen, ridge), True
    while changed:
        changed = False
        for place in range(len(chosen)):
            others = chosen[:place] + chosen[place + 1 :]
            trial = [*others, int(np.argmax(_added(moments, others, diagonal, ridge)))]
            if (value := _explained(moments, trial, ridge)) > explained * SWAP_GAIN:
                # In the old one's place, so that a pass tries each of them once.
                chosen[place], explained, changed = trial[-1], value, True
    return np.array(chosen, dtype=np.int64)


def _explained(moments: Moments, chosen: list[int], ridge: float) -> float:
    index = np.array(chosen, dtype=np.int64)
    return float(moments.weights(index, ridge) @ moments.product[index])


def _added(
    moments: Moments,
    chosen: list[int],
    diagonal: Float[np.ndarray, "columns"],
    ridge: float,
) -> Float[np.ndarray, "columns"]:
    """How much more each column would explain with the chosen ones; -inf for those."""
    index = np.array(chosen, dtype=np.int64)
    joint = moments.gram[index]
    inner = joint[:, index] + ridge * np.eye(len(index))
    along = np.linalg.solve(inner, joint)
    product = moments.product - along.T @ moments.product[index]
    square = diagonal - np.einsum("ij,ij->j", joint, along)
    added = product**2 / np.maximum(square, 1e-9)
    added[index] = -np.inf
    return added
