"""Superposition: a toy model stores five features as a pentagon; random directions overlap as such."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.representation.superposition import conclude
from ....tools.representation.interference import unit_rows
from ..registry import known_answer, null

DIRECTIONS, WIDTH = 120, 16
NAMES = [f"direction {number}" for number in range(DIRECTIONS)]


@known_answer(
    "superposition",
    "a toy model stores 5 sparse features in 2 dimensions with cosines .309 and -.809",
)
def pentagon(seed: int) -> bool:
    from ....tools.representation.toy_superposition import stored_features

    unit = unit_rows(stored_features(seed=seed))
    cosines = np.sort((unit @ unit.T)[np.triu_indices(5, 1)])
    expected = np.repeat([np.cos(4 * np.pi / 5), np.cos(2 * np.pi / 5)], 5)
    return bool(np.abs(cosines - expected).max() < 0.02)


@known_answer("superposition", "directions in near-antipodal pairs are found, with their partners")
def antipodal_pairs(seed: int) -> bool:
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((DIRECTIONS // 2, WIDTH))
    twins = -half + 0.1 * rng.standard_normal(half.shape)
    result = conclude(np.concatenate([half, twins]), NAMES, seed)
    paired = all(
        int(str(row["nearest"]).split()[1]) - int(str(row["direction"]).split()[1])
        == DIRECTIONS // 2
        for row in result.rows
    )
    return paired and all(claim.verdict == "supported" for claim in result.claims)


@null("superposition", "random directions")
def random_directions(seed: int) -> StudyResult:
    rng = np.random.default_rng(10_000 + seed)
    return conclude(rng.standard_normal((DIRECTIONS, WIDTH)), NAMES, seed)
