"""Probe transfer: the same set twice is read alike, and another direction not at all."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.representation.probe_transfer import conclude
from ....studies.representation.several_sets import SeveralSets
from ..registry import known_answer, null

TEXTS, EACH, WIDTH, STRENGTH = 100, 2, 24, 4.0
NAMES = ["one", "same", "other"]


def _sets(directions: np.ndarray, seed: int, copied: bool = False) -> SeveralSets:
    """A set for each direction, along which its label lies; of a copied one the second is the first."""
    random = np.random.default_rng(seed)
    classes = np.stack([random.permutation(np.arange(TEXTS) % 2) for _ in directions])
    vectors = random.normal(size=(len(directions), TEXTS, WIDTH))
    vectors += STRENGTH * (classes[:, :, None] - 0.5) * directions[:, None]
    group = np.arange(len(directions) * TEXTS).reshape(classes.shape) // EACH
    if copied:
        vectors[1], classes[1], group[1] = vectors[0], classes[0], group[0]
    place = np.repeat(np.arange(len(directions)), TEXTS)
    return SeveralSets(
        NAMES[: len(directions)],
        vectors.reshape(-1, WIDTH),
        place,
        classes.reshape(-1),
        group.reshape(-1),
    )


@known_answer(
    "probe-transfer",
    "in the same set a probe does as well as the set's own, and where the label is an orthogonal "
    "direction it is at chance",
)
def same_and_other(seed: int) -> bool:
    axes = np.linalg.qr(np.random.default_rng([seed, 1]).normal(size=(WIDTH, 2)))[0].T
    result = conclude(_sets(axes[[0, 0, 1]], seed, copied=True), 3, seed)
    area = {(row["fitted on"], row["tested on"]): row["auc"] for row in result.rows}
    verdicts = {
        tuple(name for name in NAMES if f" {name} " in claim.claim): claim.verdict
        for claim in result.claims
    }
    return (
        area["one", "same"] == area["one", "one"] > 0.95
        and verdicts["one", "same"] == "supported"
        and max(abs(area["one", "other"] - 0.5), abs(area["other", "one"] - 0.5)) < 0.2
        and "supported" not in (verdicts["one", "other"], verdicts["same", "other"])
    )


@null("probe-transfer", "labels that lie along a random direction of each set")
def random_directions(seed: int) -> StudyResult:
    directions = np.random.default_rng([seed, 2]).normal(size=(2, WIDTH))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return conclude(_sets(directions, seed), 3, seed)
