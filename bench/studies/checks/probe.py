"""Probe: planted labels are read by the probes that can, and random ones by none."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.representation.probe import Method, conclude
from ..registry import known_answer, null

GROUPS, EACH, PLACES, WIDTH = 100, 4, 3, 6
NAMES = ("embedding", "resid.0", "resid.1")


def _vectors(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(GROUPS), EACH)
    shared = random.normal(size=(PLACES, GROUPS, WIDTH))[:, group]
    return shared + random.normal(size=(PLACES, len(group), WIDTH)), group


def _concluded(
    vectors: np.ndarray, classes: np.ndarray, group: np.ndarray, seed: int, method: Method
) -> StudyResult:
    labels = [("no", "yes")[int(label)] for label in classes]
    return conclude(vectors.astype(np.float32), NAMES, labels, group, method, seed)


@known_answer("probe", "a label that is the sign of a direction after layer 1 is read there alone")
def planted_direction(seed: int) -> bool:
    vectors, group = _vectors(seed)
    direction = np.random.default_rng(seed + 1).normal(size=WIDTH)
    result = _concluded(vectors, vectors[2] @ direction > 0, group, seed, "linear")
    read, gained = result.claims
    accuracies = [row["accuracy"] for row in result.rows]
    return (
        (read.verdict, gained.verdict) == ("supported", "supported")
        and "resid.1" in read.claim
        and accuracies[2] > 0.9
        and max(accuracies[:2]) < 0.7
        and abs(result.rows[2]["control"] - 0.5) < 0.25
    )


@known_answer("probe", "an exclusive or of two dimensions is read by a perceptron and by no line")
def exclusive_or(seed: int) -> bool:
    vectors = np.random.default_rng(seed).normal(size=(PLACES, 1000, 2))
    label, group = (vectors[1, :, 0] > 0) ^ (vectors[1, :, 1] > 0), np.arange(1000)
    bent, straight = (
        _concluded(vectors, label, group, seed, method).rows[1]["accuracy"]
        for method in ("mlp", "linear")
    )
    return bent > 0.95 and abs(straight - 0.5) < 0.1


@known_answer("probe", "random labels take a bit each, a label that is a dimension far less")
def bits_of_labels(seed: int) -> bool:
    vectors = np.random.default_rng(seed).normal(size=(PLACES, 400, WIDTH))
    result = _concluded(vectors, vectors[1, :, 0] > 0, np.arange(400), seed, "codelength")
    bits, control = result.rows[1]["bits"], result.rows[1]["control"]
    # fewer than 200 bits less 7 would be a luck of one in 128
    return result.claims[0].verdict == "supported" and bits < 100 and control > 200 - 7


@null("probe", "random labels of groups")
def random_labels(seed: int) -> StudyResult:
    vectors, group = _vectors(seed)
    classes = np.random.default_rng(seed + 1).permutation(np.arange(GROUPS) % 2)[group]
    return _concluded(vectors, classes, group, seed, "linear")
