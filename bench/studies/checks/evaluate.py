"""Evaluation: a word with which every answer is wrong is the first failure slice; chance has none."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.behaviour.evaluate import conclude
from ....tools.behaviour.failure_slices import words_of_texts
from ..registry import known_answer, null

TEXTS = 240
WORDS = tuple(f"word{chr(97 + at)}{chr(97 + other)}" for at in range(4) for other in range(10))
PLANTED = "zebra"


def _concluded(seed: int, base_error: float, planted: float, confidence: float) -> StudyResult:
    """Texts of random words; the planted one is in a part of them, where every answer is wrong."""
    random = np.random.default_rng(seed)
    has_planted = random.random(TEXTS) < planted
    texts = [
        " ".join([*random.choice(WORDS, 8), *([PLANTED] if wrong else [])]) for wrong in has_planted
    ]
    label = random.permutation(np.arange(TEXTS) % 2)
    is_wrong = (random.random(TEXTS) < base_error) | has_planted
    answer = np.where(is_wrong, 1 - label, label)
    shares = np.full((TEXTS, 2), 1 - confidence)
    shares[np.arange(TEXTS), answer] = confidence
    held = words_of_texts(texts)
    measured = {
        "scores": np.log(shares),
        "label": label,
        "classes": np.array(["no", "yes"]),
        "group": np.arange(TEXTS),
        "length": random.integers(0, 3, TEXTS),
        "word": held.words,
        "word_text": held.text,
        "word_number": held.number,
        "n_cut": np.array(0),
        "slice year": random.choice(["2001", "2002", "2003"], TEXTS),
    }
    return conclude(measured, seed)


@known_answer("evaluate", "a word with which every answer is wrong is the first failure slice")
def planted_word(seed: int) -> bool:
    result = _concluded(seed, base_error=0.2, planted=0.16, confidence=0.8)
    first = result.claims[2]
    row = next(row for row in result.rows if row["kind"] == "failure slice")
    is_first = first.claim.endswith(f'the word "{PLANTED}"') and PLANTED in row["slice"]
    return is_first and first.verdict == "supported" and row["accuracy"] == 0.0


@known_answer("evaluate", "accuracy .8 of confidence .95 is above the majority and too confident")
def overconfident(seed: int) -> bool:
    better, surer, *_ = _concluded(seed, 0.2, 0.0, 0.95).claims
    assert better.value is not None
    assert surer.value is not None
    are_close = abs(better.value - 0.8) < 0.1 and abs(surer.value - 0.15) < 0.1
    return are_close and better.verdict == surer.verdict == "supported"


@null("evaluate", "answers at random, as confident as they are right")
def answers_at_random(seed: int) -> StudyResult:
    return _concluded(seed, base_error=0.5, planted=0.0, confidence=0.5 + 1e-9)
