"""Concept: a planted direction that acts is found and acts; shuffled labels do neither."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.representation.concept import conclude
from ..registry import known_answer, null

TEXTS, WIDTH = 160, 40


def _concluded(seed: int, strength: float, of_group: int = 1) -> StudyResult:
    random = np.random.default_rng(seed)
    truth = random.normal(size=WIDTH)
    truth /= np.linalg.norm(truth)
    label = np.arange(TEXTS) % 2
    vectors = random.normal(size=(TEXTS, WIDTH)) + strength * np.outer(label - 0.5, truth)
    # the scalar follows the planted direction, and other things from text to text
    gradients = truth + random.normal(size=(TEXTS, WIDTH))
    labels = [("no", "yes")[number] for number in label]
    place = (3, " a", " b")
    return conclude(
        vectors, gradients, labels, np.arange(TEXTS) // of_group, place, method="means", seed=seed
    )


@known_answer("concept", "a planted direction is stable and raises the scalar that follows it")
def planted_direction(seed: int) -> bool:
    result = _concluded(seed, 4.0)
    stable, acts = result.claims
    assert stable.value is not None
    assert acts.value is not None
    return (
        stable.verdict == acts.verdict == "supported" and stable.value > 0.8 and acts.value > 0.75
    )


@null("concept", "random labels, that vary within groups of two with every other seed")
def random_labels(seed: int) -> StudyResult:
    return _concluded(seed, 0.0, of_group=1 + seed % 2)
