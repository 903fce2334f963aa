"""Senses: before any layer the same word has cosine 1 exactly; a planted direction of sense is found."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.representation.senses import conclude, cosines_of, mean_cosines, measure_words
from ....studies.study_context import StudyContext
from ..registry import known_answer, null

LAYERS, WORDS, EACH, WIDTH = 4, 12, 6, 16
WORD = np.repeat(np.arange(WORDS), EACH)
SENSE = np.tile(np.repeat([0, 1], EACH // 2), WORDS)


def _vectors(seed: int) -> np.ndarray:
    """Embeddings of the words, to which later layers add noise."""
    rng = np.random.default_rng(seed)
    embeddings = rng.standard_normal((WORDS, WIDTH))[WORD]
    noise = rng.standard_normal((LAYERS, len(WORD), WIDTH))
    return embeddings + noise * np.arange(LAYERS)[:, None, None]


@known_answer(
    "senses",
    "before any layer all cosines of a word with itself are 1, and a sense that is planted after "
    "layer 1 is found there",
)
def planted_sense(seed: int) -> bool:
    from ...tiny_subject import miniature

    measured = measure_words(StudyContext([miniature(seed)]))
    cosines = cosines_of(measured["vectors"][0])
    exact = np.allclose(mean_cosines(cosines, measured["word"], measured["sense"]), 1, atol=1e-6)
    vectors = _vectors(seed)
    direction = np.random.default_rng([seed, 1]).standard_normal((WORDS, WIDTH))
    vectors[2] += 4 * direction[WORD] * (2 * SENSE - 1)[:, None]
    result = conclude(vectors, WORD, SENSE, seed)
    (claim,) = result.claims
    return exact and claim.verdict == "supported" and "after layer 1 " in claim.claim


@null("senses", "vectors that do not depend on the sense")
def no_sense(seed: int) -> StudyResult:
    return conclude(_vectors(seed), WORD, SENSE, seed)
