"""Group representations: identical groups have cosine 1, planted directions are found, noise has none."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.audits.group_representations import conclude
from ..registry import known_answer, null

SENTENCES, GROUPS, WIDTH = 24, ["a", "b", "c", "d"], 32


def _vectors(seed: int, strength: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(SENTENCES, 1, WIDTH))
    directions = rng.normal(size=(len(GROUPS), WIDTH))
    noise = rng.normal(size=(SENTENCES, len(GROUPS), WIDTH))
    return shared + strength * directions + noise


@known_answer(
    "group-representations",
    "identical groups have cosine and CKA 1, and planted directions are distinguished",
)
def planted_directions(seed: int) -> bool:
    vectors = _vectors(seed, 1.0)
    vectors[:, 1] = vectors[:, 0]
    result = conclude(vectors, GROUPS, seed)
    same = result.rows[0]
    others = [row["cosine"] for row in result.rows[1:]]
    return (
        abs(same["cosine"] - 1) < 1e-9
        and abs(same["cka"] - 1) < 1e-6
        and max(others) < 0.9
        and result.claims[0].verdict == "supported"
    )


@null("group-representations", "names that change nothing")
def meaningless_names(seed: int) -> StudyResult:
    return conclude(_vectors(seed, 0.0), GROUPS, seed)
