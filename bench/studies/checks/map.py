"""Maps: three planted blobs are apart by every method that is installed; noise has no kinds."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.representation.map import conclude
from ....tools.representation.maps import MapMethod
from ..registry import known_answer, null

TEXTS = 120
METHODS: tuple[MapMethod, ...] = ("pca", "tsne")
KINDS = np.array(["red", "green", "blue"])


def _concluded(vectors: np.ndarray, kind: np.ndarray, method: MapMethod, seed: int) -> StudyResult:
    texts = [f"text {number}" for number in range(TEXTS)]
    group = np.arange(TEXTS) // 2
    return conclude(vectors, KINDS[kind].tolist(), group, texts, method, seed)


@known_answer("map", "three blobs are apart on the map by PCA and by t-SNE: purity 1")
def planted_blobs(seed: int) -> bool:
    rng = np.random.default_rng(seed)
    kind = rng.permutation(np.arange(TEXTS) % 3)
    vectors = 5 * rng.standard_normal((3, 20))[kind] + rng.standard_normal((TEXTS, 20))
    claims = [_concluded(vectors, kind, method, seed).claims[0] for method in METHODS]
    return all(claim.verdict == "supported" and claim.value == 1 for claim in claims)


@null("map", "kinds that are given at random to Gaussian vectors")
def random_kinds(seed: int) -> StudyResult:
    rng = np.random.default_rng(seed)
    kind = rng.permutation(np.arange(TEXTS) % 3)
    return _concluded(rng.standard_normal((TEXTS, 20)), kind, "pca", seed)
