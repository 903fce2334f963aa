"""A block that spoils answers is found and its removal fixes them; chance flips are no fix."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.training.diagnose import conclude
from ..registry import known_answer, null

BLOCKS, PROMPTS, SPOILED = 24, 120, 9
NAMES = [f"mlp of layer {layer}" for layer in range(BLOCKS)]


def _answers(seed: int, mean: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logit differences, of which about one in six is wrong, and the same with any block removed."""
    random = np.random.default_rng([seed, 1])  # the study draws from the seed alone
    intact = random.normal(mean, 1, PROMPTS)
    return intact, intact + random.normal(0, 0.5, (BLOCKS, PROMPTS))


@known_answer(
    "diagnose",
    "the block that spoils 40 % of the answers is named, and removing it fixes others too",
)
def corrupted_block(seed: int) -> bool:
    intact, without = _answers(seed)
    spoiled = np.where(np.random.default_rng([seed, 2]).random(PROMPTS) < 0.4, 4.0, 0.0)
    others = np.arange(BLOCKS) != SPOILED
    intact, without[others] = intact - spoiled, without[others] - spoiled
    (claim,) = conclude(NAMES, intact, without, seed).claims
    return claim.verdict == "supported" and f"mlp of layer {SPOILED} " in claim.claim


@null("diagnose", "removing a block flips answers by chance alone")
def intact_subject(seed: int) -> StudyResult:
    return conclude(NAMES, *_answers(seed), seed)


@null(
    "diagnose",
    "the same where half of the answers are wrong, so that chance fixes as many as it breaks",
)
def guessing_subject(seed: int) -> StudyResult:
    return conclude(NAMES, *_answers(seed, mean=0.0), seed)
