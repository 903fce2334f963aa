"""Similarity: layers that drift are alike in order of distance; independent ones have nothing in common."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.representation import similarity, similarity_between
from ....studies.representation.similarity_between import SubjectLayers
from ....tools.representation.cka import cka
from ..registry import known_answer, null

TEXTS, WIDTH, LAYERS = 80, 24, 7
NAMES = [f"layer {number}" for number in range(LAYERS)]


def _drifting(seed: int, walk: int = 0) -> list[np.ndarray]:
    """Layers that are each a rotation of the one before, with noise; walks share their texts."""
    texts, noise = np.random.default_rng(seed), np.random.default_rng([seed, walk])
    layers = [texts.standard_normal((TEXTS, 4)) @ texts.standard_normal((4, WIDTH))]
    for _ in range(LAYERS - 1):
        rotation = np.linalg.qr(noise.standard_normal((WIDTH, WIDTH)))[0]
        layers.append(layers[-1] @ rotation + noise.standard_normal((TEXTS, WIDTH)))
    return layers


def _noise(seed: int) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).standard_normal((LAYERS, TEXTS, WIDTH)))


@known_answer(
    "similarity",
    "a layer is 1 with itself rotated and scaled, independent Gaussians are 0 to within .02, and "
    "layers that drift are most like their neighbours",
)
def drifting_layers(seed: int) -> bool:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, 2000, 40))
    rotation = np.linalg.qr(rng.standard_normal((40, 40)))[0]
    values = cka([x, 3 * x @ rotation, y], standardise=False).values
    exact = abs(values[0, 1] - 1) < 1e-5 and abs(values[0, 2]) < 0.02
    result = similarity.conclude(_drifting(seed), np.arange(TEXTS), NAMES, seed=seed)
    return exact and all(claim.verdict == "supported" for claim in result.claims)


@null("similarity", "independent layers")
def independent_layers(seed: int) -> StudyResult:
    return similarity.conclude(_noise(seed), np.arange(TEXTS), NAMES, seed=seed)


@known_answer(
    "similarity-between",
    "a subject is 1 with itself at the same depth, and two that drift alike correspond in depth",
)
def same_subject(seed: int) -> bool:
    one, twin, other = (
        SubjectLayers(name, NAMES, _drifting(seed, walk))
        for name, walk in (("one", 0), ("twin", 0), ("other", 1))
    )
    result = similarity_between.conclude([one, twin, other], np.arange(TEXTS), seed=seed)
    itself = [row["similarity"] for row in result.rows if row["subjects"] == "one and twin"]
    exact = np.allclose(np.array(itself, dtype=float), 1, atol=1e-5)
    # Both walks end in noise of their own: late layers correspond to nothing.
    return exact and [claim.verdict for claim in result.claims[:3]] == ["supported"] * 3


@null("similarity-between", "subjects with structure of their own and none in common")
def unrelated_subjects(seed: int) -> StudyResult:
    layers = [
        SubjectLayers(name, NAMES, _drifting(1000 + 2 * seed + place))
        for place, name in enumerate(("one", "other"))
    ]
    return similarity_between.conclude(layers, np.arange(TEXTS), seed=seed)
