"""Polysemantic: a neuron with two planted concepts has two kinds of contexts, one with one has one."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.measurements import Measured
from ....studies.representation.polysemantic import conclude
from ..registry import known_answer, null

WORDS, EACH, WIDTH = 32, 2, 24
APART = 6.0
"""Distance of two concepts in each dimension, in standard deviations of the words of one."""
DRAWS = 39
"""Fewer than the study's own, since 200 nulls are run."""


def _contexts(seed: int, concepts: int, tails: float = np.inf) -> Measured:
    """Contexts of words that scatter about their concept.

    Args:
        tails: degrees of freedom of Student's t by which the words scatter; inf for a Gaussian.
    """
    random = np.random.default_rng([seed, 1])  # the study draws from its own seeds
    shape = (WORDS, WIDTH)
    words = random.standard_normal(shape) if np.isinf(tails) else random.standard_t(tails, shape)
    concept = np.arange(WORDS) % concepts
    words += APART * concept[:, None] * random.choice([-1, 1], WIDTH)
    word = np.repeat(np.arange(WORDS), EACH)
    vectors = words[word] + 0.5 * random.standard_normal((len(word), WIDTH))
    return {
        "vectors": (vectors * np.geomspace(1, 100, WIDTH)).astype(np.float32),
        "word": np.array([f"word{number}" for number in word]),
        "document": np.arange(len(word)),
        "activation": random.uniform(1, 2, len(word)),
        "text": np.array([f"[word{number}]" for number in word]),
    }


@known_answer(
    "polysemantic",
    "two planted concepts are two kinds of contexts with their own words, one concept is one kind",
)
def planted_concepts(seed: int) -> bool:
    planted = {"two": _contexts(seed, 2), "one": _contexts(seed, 1)}
    result = conclude(planted, seed, DRAWS)
    # a word's number modulo 2 is its concept
    kinds = [row for row in result.rows if row["unit"] == "two"]
    of_kind = [{int(word[4:]) % 2 for word in str(row["words"]).split(", ")} for row in kinds]
    return (
        result.claims[0].verdict == "supported"
        and result.claims[1].verdict != "supported"
        and sorted(map(sorted, of_kind)) == [[0], [1]]
        and sum(row["unit"] == "one" for row in result.rows) == 1
    )


@null("polysemantic", "words of one cloud with long tails (Student's t with 5 degrees of freedom)")
def long_tails(seed: int) -> StudyResult:
    return conclude({"one": _contexts(seed, 1, tails=5)}, seed, DRAWS)
