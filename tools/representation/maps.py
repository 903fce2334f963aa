"""Maps: vectors as points in the plane, each with its trustworthiness.

1. Standardise the columns, and reduce to the 50 largest principal components where there are more: it
   takes out noise, and t-SNE and UMAP take a tenth of the time.
2. *pca* takes the two largest components: distances are real, and what a plane cannot hold is lost.
   *tsne* (from scikit-learn) and *umap* (from umap-learn, an extra) keep neighbours together; their
   distances between clusters and the clusters' sizes say nothing.
3. Trustworthiness is 1 if the k nearest neighbours of each point on the map are near it in the space of
   the vectors, and about 0.5 for points put down at random. A map without it is a picture.
4. Purity: the share of a point's k nearest neighbours *from other groups* that have its label. Points of
   one group (the same noun in two phrases) are near each other whatever the label is.

van der Maaten & Hinton, "Visualizing Data using t-SNE" (2008); McInnes, Healy & Melville, "UMAP" (2018);
Venna & Kaski, "Local multidimensional scaling" (2006) for trustworthiness.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from ..errors import UnavailableError, UsageError
from .scale import standardise

MapMethod = Literal["pca", "tsne", "umap"]
COMPONENTS = 50
NEIGHBOURS = 15
"""Of trustworthiness and purity; UMAP's own default."""
FEWEST_POINTS = 2 * NEIGHBOURS + 2
"""Trustworthiness is defined for fewer than half as many neighbours as points."""
MOST_TRUSTED = 1_000
"""Points for which trustworthiness is computed at most, drawn at random: it takes all distances."""
PERPLEXITY = 30
"""Of t-SNE, its default; a third of the points where there are fewer than 90."""


@dataclass(frozen=True, eq=False)
class PlaneMap:
    """Points in the plane.

    Attributes:
        trustworthiness: of neighbours on the map; `random`: that of points at random places.
        explained: share of the variance on the two axes; None for maps that have no axes.
    """

    method: MapMethod
    points: Float[np.ndarray, "row 2"]
    trustworthiness: float
    random: float
    explained: tuple[float, float] | None


def check_map(method: MapMethod, n_rows: int) -> None:
    """Check what can be checked before vectors are computed.

    Raises:
        UnavailableError: the method is an extra that is not installed.
        UsageError: too few rows.
    """
    if method == "umap" and find_spec("umap") is None:
        raise UnavailableError(
            "a map by 'umap' needs umap-learn, which is not installed: "
            "pip install 'hubel[umap]', or choose pca or tsne"
        )
    if n_rows < FEWEST_POINTS:
        raise UsageError(f"{n_rows} rows given; a map needs at least {FEWEST_POINTS} texts")


def make_map(
    vectors: Float[np.ndarray, "row width"], method: MapMethod = "pca", seed: int = 0
) -> PlaneMap:
    """Put the rows on a map; the same seed gives the same map.

    Raises:
        UnavailableError: the method is an extra that is not installed.
        UsageError: too few rows, or vectors that are all the same.
    """
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    check_map(method, len(vectors))
    scaled = standardise(vectors, "the vectors")
    if scaled.shape[1] < 2:
        raise UsageError("vectors of one column given; a map needs at least two")
    explained = None
    with threadpool_limits(1):  # sums in another order would move the points of t-SNE
        pca = PCA(min(COMPONENTS, *scaled.shape), svd_solver="full").fit(scaled)
        points = components = pca.transform(scaled)
        if method == "pca":
            first, second = pca.explained_variance_ratio_[:2].tolist()
            points, explained = components[:, :2], (first, second)
        else:
            points = {"tsne": _tsne, "umap": _umap}[method](components, seed)
    points = points.astype(np.float64)
    shuffled = points[np.random.default_rng(seed).permutation(len(points))]
    trusted, by_chance = (trust(vectors, where, seed) for where in (points, shuffled))
    return PlaneMap(method, points, trusted, by_chance, explained)


def trust(
    vectors: Float[np.ndarray, "row width"], points: Float[np.ndarray, "row 2"], seed: int = 0
) -> float:
    """Trustworthiness of points on a map of the vectors, on at most `MOST_TRUSTED` of them."""
    from sklearn.manifold import trustworthiness

    chosen = np.random.default_rng(seed).permutation(len(points))[:MOST_TRUSTED]
    scaled = standardise(vectors[chosen], "the vectors")
    return float(trustworthiness(scaled, points[chosen], n_neighbors=NEIGHBOURS))


def _tsne(components: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, len(components) // 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(components)


def _umap(components: np.ndarray, seed: int) -> np.ndarray:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba's, and that a seed means one thread
        umap: Any = import_module("umap")
        reducer = umap.UMAP(n_neighbors=NEIGHBOURS, random_state=seed, n_jobs=1)
        return np.asarray(reducer.fit_transform(components))


def neighbours_from_other_groups(
    points: Float[np.ndarray, "row axis"], group: Int[np.ndarray, " row"], k: int = NEIGHBOURS
) -> Int[np.ndarray, "row k"]:
    """The k nearest rows of each row among those of other groups, the nearest first.

    Raises:
        UsageError: some row has fewer than k rows of other groups.
    """
    from sklearn.neighbors import NearestNeighbors

    largest = int(np.bincount(group).max())
    if len(points) - largest < k:
        raise UsageError(
            f"{len(points)} rows given, {largest} of them in one group; "
            f"purity needs {k} rows of other groups for each: give more groups"
        )
    nearest = NearestNeighbors(n_neighbors=min(len(points), k + largest)).fit(points)
    candidates = nearest.kneighbors(points, return_distance=False)
    foreign = group[candidates] != group[:, None]
    # Foreign rows first, in order of distance: a stable sort keeps it.
    order = np.argsort(~foreign, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(candidates, order, axis=1)


def purity(
    neighbours: Int[np.ndarray, "row k"], label: Int[np.ndarray, " row"]
) -> Float[np.ndarray, " row"]:
    """The share of each row's neighbours that have its label."""
    return (label[neighbours] == label[:, None]).mean(axis=1)
