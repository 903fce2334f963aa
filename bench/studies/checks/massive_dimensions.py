"""Massive dimensions: one that is planted is found, and Gaussian dimensions of equal size have none."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.representation.massive_dimensions import conclude, random_basis
from ..registry import known_answer, null

DOCUMENTS, LAYERS, WIDTH, TOKENS = 20, 4, 64, 30


def _streams(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(DOCUMENTS, LAYERS, TOKENS, WIDTH))


def _concluded(streams: np.ndarray, seed: int) -> StudyResult:
    rotation = random_basis(WIDTH, seed)
    size, rotated = np.abs(streams).mean(axis=2), np.abs(streams @ rotation).mean(axis=2)
    return conclude(size, rotated, seed)


@known_answer("massive-dimensions", "a dimension that is 40 times as large after layer 2 is named")
def planted_dimension(seed: int) -> bool:
    streams = _streams(seed)
    streams[:, 2, :, 7] *= 40
    result = _concluded(streams, seed)
    (claim,) = result.claims
    named = [(row["layer"], row["dimension"]) for row in result.rows if row["ratio"] > 10]
    assert claim.value is not None
    return claim.verdict == "supported" and named == [(2, 7)] and 35 < claim.value < 45


@null("massive-dimensions", "dimensions of equal size")
def equal_dimensions(seed: int) -> StudyResult:
    return _concluded(_streams(seed), seed)
