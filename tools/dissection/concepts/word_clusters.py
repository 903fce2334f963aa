"""Clusters of the words of a vocabulary in the subject's embedding, for which names are sought.

1. Content words that WordNet knows are clustered by k-means over their standardised vectors, into the
   largest of CLUSTERS.
2. The centres of these are clustered again into the smaller numbers, so that a coarse cluster is a
   union of fine ones.

Seeded and on one thread, so that they come out the same; kept in the cache by the vectors' content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import UnavailableError
from ...files import atomic_file, cache_dir
from ...lexica import WordNet, possible_readings
from ..lexicon import Lexicon
from .wordclass import content_words

if TYPE_CHECKING:
    from jaxtyping import Float, Int

CLUSTERS = (1000, 300, 100)
"""With 1000, clusters of an embedding of 576 numbers hold some 15 words, and a third has a name."""
FEWEST_WORDS = 4000
"""Of a vocabulary worth clustering: four words for each of the finest clusters."""
ITERATIONS = 10
FORMAT = 1
Clusters = dict[int, "Int[np.ndarray, 'words']"]
"""By number of clusters, the cluster of each word of ``Lexicon.words``, -1 for those in none."""


def word_clusters(lexicon: Lexicon) -> Clusters:
    """The clusters of a vocabulary; none where there is no embedding, WordNet or enough words."""
    return lexicon.memo("word clusters", lambda: _find(lexicon))


def _find(lexicon: Lexicon) -> Clusters:
    wordnet = lexicon.lexica and lexicon.lexica.wordnet
    if lexicon.vectors is None or wordnet is None:
        return {}
    words = known_words(lexicon, wordnet)
    if len(words) < FEWEST_WORDS:
        return {}
    vectors = lexicon.vectors[lexicon.token_of_word[words]]
    key = hashlib.sha256(f"{FORMAT} {CLUSTERS} {ITERATIONS} {words.tolist()}".encode())
    key.update(np.ascontiguousarray(vectors).tobytes())
    path = cache_dir() / "lexica" / f"clusters-{key.hexdigest()[:16]}.safetensors"
    labels = _read(path, len(words))
    if labels is None:
        lexicon.lexica.say("clustering the subject's vocabulary; it is kept for the next time")  # type: ignore[union-attr]
        labels = cluster(vectors, CLUSTERS)
        _write(path, labels)
    clusters: Clusters = {}
    for count, of_words in labels.items():
        clusters[count] = np.full(len(lexicon.words), -1, dtype=np.int32)
        clusters[count][words] = of_words
    return clusters


def known_words(lexicon: Lexicon, wordnet: WordNet) -> Int[np.ndarray, "known"]:
    """The content words that WordNet has in some reading; the others are mostly pieces."""
    found = []
    for word in np.flatnonzero(content_words(lexicon)).tolist():
        readings = possible_readings(lexicon.bare[lexicon.token_of_word[word]])
        if any(wordnet.find(reading) >= 0 for reading in readings):
            found.append(word)
    return np.array(found, dtype=np.int64)


def cluster(vectors: Float[np.ndarray, "words d"], counts: Iterable[int]) -> Clusters:
    """The cluster of each vector, for each number of clusters, largest number first."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    labels: Clusters = {}
    points, weight, fine = np.asarray(vectors, dtype=np.float32), None, np.arange(len(vectors))
    with threadpool_limits(1):
        for count in counts:
            means = KMeans(count, n_init=1, max_iter=ITERATIONS, random_state=0)  # pyright: ignore[reportArgumentType]
            of_points = means.fit_predict(points, sample_weight=weight)
            fine = of_points[fine]
            labels[count] = fine.astype(np.int32)
            points = means.cluster_centers_
            weight = np.bincount(fine, minlength=count).astype(np.float64)
    return labels


def _read(path: Path, n_words: int) -> Clusters | None:
    """What was kept, or None; damaged, it is made again."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    with suppress(OSError, SafetensorError, ValueError, KeyError):
        arrays = load_file(path)
        labels = {count: arrays[str(count)] for count in CLUSTERS}
        if all(of_words.shape == (n_words,) for of_words in labels.values()):
            return labels
    return None


def _write(path: Path, labels: Clusters) -> None:
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(UnavailableError), atomic_file(path) as part:  # it only saves time
        save_file({str(count): of_words for count, of_words in labels.items()}, part)
