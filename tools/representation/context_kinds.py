"""Kinds of contexts: do vectors of contexts fall into clusters, more than one cloud of words would?

1. Columns are standardised and reduced to the largest principal components.
2. Ward's tree of the points is cut into 2, 3, ... clusters. Those of at least three words are kinds,
   the points of the others are outliers. The figure is the mean silhouette of the kinds of the best
   cut: 1 for kinds that are points far apart, about 0 for none (Rousseeuw 1987).
3. Any cloud can be cut, and contexts of one word lie together whatever a unit means. So the null is one
   cloud of words: the mean of each word is drawn from a Gaussian with the covariance of these means,
   and its contexts around it from one with the covariance within words. The figure of each draw is the
   best of its own cuts, as in SigClust (Liu, Hayes, Nobel & Marron, JASA 2008).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from .scale import standardise

COMPONENTS = 10
"""Of 60 contexts of smollm2-135m's neurons they hold about half of the variance; a covariance of many
more cannot be estimated from so few."""
MOST_CLUSTERS = 6
LEAST_WORDS_OF_KIND = 3
"""One unusual word is an outlier and no kind: of `mlp.3.7-`, five contexts of " Gillespie" would be."""


class ContextKinds(NamedTuple):
    """The best cut.

    Attributes:
        silhouette: mean over the points that are in a kind; 0 where no cut has two kinds.
        kind: of each point, the largest first; -1 for an outlier.
    """

    silhouette: float
    kind: Int[np.ndarray, " context"]

    @property
    def n_kinds(self) -> int:
        """Number of kinds."""
        return int(self.kind.max()) + 1


def reduced(
    vectors: Float[np.ndarray, "context width"], name: str
) -> Float[np.ndarray, "context component"]:
    """The points that are clustered.

    Raises:
        UsageError: the vectors are not finite, or all are the same.
    """
    from sklearn.decomposition import PCA

    scaled = standardise(vectors, name).astype(np.float64)
    components = min(COMPONENTS, scaled.shape[1], len(scaled) - 1)
    return PCA(components, svd_solver="full").fit_transform(scaled)


def best_kinds(
    points: Float[np.ndarray, "context component"], word: Int[np.ndarray, " context"]
) -> ContextKinds:
    """The cut of Ward's tree whose kinds have the largest mean silhouette.

    Args:
        word: a number for each word.
    """
    from scipy.cluster.hierarchy import fcluster, ward

    tree = ward(points)
    best = ContextKinds(0.0, np.zeros(len(points), dtype=np.int64))
    for clusters in range(2, MOST_CLUSTERS + 1):
        kind = _kinds(fcluster(tree, clusters, "maxclust") - 1, word)
        silhouette = silhouette_of(points, kind)
        if silhouette > best.silhouette:
            best = ContextKinds(silhouette, kind)
    return best


def silhouette_of(
    points: Float[np.ndarray, "context component"], kind: Int[np.ndarray, " context"]
) -> float:
    """Mean silhouette of the points that are in a kind; 0 where there are not two kinds."""
    from sklearn.metrics import silhouette_score

    inside = kind >= 0
    if len(np.unique(kind[inside])) < 2:
        return 0.0
    return float(silhouette_score(points[inside], kind[inside]))


def _kinds(
    cluster: Int[np.ndarray, " context"], word: Int[np.ndarray, " context"]
) -> Int[np.ndarray, " context"]:
    """Clusters of enough words, numbered from the largest on; -1 for the others."""
    size = np.bincount(cluster)
    n_words = [len(np.unique(word[cluster == number])) for number in range(len(size))]
    kinds = [c for c in np.argsort(-size, kind="stable") if n_words[c] >= LEAST_WORDS_OF_KIND]
    numbers = np.full(len(size), -1)
    numbers[kinds] = np.arange(len(kinds))
    return numbers[cluster]


def one_cloud(
    points: Float[np.ndarray, "context component"],
    word: Int[np.ndarray, " context"],
    random: np.random.Generator,
) -> Float[np.ndarray, "context component"]:
    """Points as a cloud of as many words with as many contexts each would have them.

    Args:
        word: a number for each word, from 0.
    """
    size = np.bincount(word)
    means = _means(points, word, size)
    inside = points - means[word]
    freedom = max(1, len(points) - len(size))
    drawn_means = _gaussian(means - means.mean(axis=0), len(size) - 1, len(size), random)
    drawn = _gaussian(inside, freedom, len(points), random)
    return drawn_means[word] + drawn - _means(drawn, word, size)[word]


def _means(points: np.ndarray, word: np.ndarray, size: np.ndarray) -> np.ndarray:
    sums = np.zeros((len(size), points.shape[1]))
    np.add.at(sums, word, points)
    return sums / size[:, None]


def _gaussian(
    deviations: np.ndarray, freedom: int, count: int, random: np.random.Generator
) -> np.ndarray:
    """Draws with the covariance of these deviations: random sums of them."""
    weights = random.standard_normal((count, len(deviations)))
    return weights @ deviations / np.sqrt(max(1, freedom))
