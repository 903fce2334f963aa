"""Bottleneck: a label of two planted concepts needs both; a random label needs nothing."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.representation.bottleneck import conclude
from ....studies.representation.several_sets import SeveralSets
from ..registry import known_answer, null

TEXTS, WIDTH, STRENGTH = 200, 12, 12.0
NAMES = ["label", "first", "second"]


def _sets(seed: int, kind: str) -> SeveralSets:
    """Texts of two concepts, each along a dimension; the label is both, another dimension or none."""
    random = np.random.default_rng(seed)
    has = random.integers(0, 2, size=(3, TEXTS, 3))
    vectors = random.normal(size=(3, TEXTS, WIDTH))
    vectors[:, :, :3] += STRENGTH * (has - 0.5)
    label = {
        "either but not both": has[0, :, 0] ^ has[0, :, 1],
        "unnamed": has[0, :, 2],
        "random": random.integers(0, 2, TEXTS),
    }[kind]
    classes = np.concatenate([label, has[1, :, 0], has[2, :, 1]])
    place = np.repeat(np.arange(3), TEXTS)
    return SeveralSets(NAMES, vectors.reshape(-1, WIDTH), place, classes, np.arange(3 * TEXTS))


@known_answer(
    "bottleneck",
    "a label of two planted concepts is predicted with accuracy 1, at chance without either; one of "
    "a concept that is not named is left to the residual",
)
def planted_concepts(seed: int) -> bool:
    result = conclude(_sets(seed, "either but not both"), 3, seed)
    both, _, *without = (float(row["accuracy"]) for row in result.rows)
    residual = conclude(_sets(seed, "unnamed"), 3, seed)
    unnamed, whole = (float(row["accuracy"]) for row in residual.rows[:2])
    return (
        [claim.verdict for claim in result.claims]
        == ["supported", "refuted", "supported", "supported"]
        and both > 0.99
        and max(without) < 0.65
        and residual.claims[0].verdict != "supported"
        and residual.claims[1].verdict == "supported"
        and whole - unnamed > 0.3
    )


@null("bottleneck", "random labels")
def random_labels(seed: int) -> StudyResult:
    return conclude(_sets(seed, "random"), 3, seed)
