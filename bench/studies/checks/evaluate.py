"""Evaluation: a word, or a cell, in which every answer is wrong is named; chance has neither."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.behaviour.evaluate import conclude
from ....tools.behaviour.failure_slices import words_of_texts
from ..registry import known_answer, null

TEXTS = 240
WORDS = tuple(f"word{chr(97 + at)}{chr(97 + other)}" for at in range(4) for other in range(10))
PLANTED = "zebra"
YEARS, RARE_YEAR = ["2001", "2002", "2003"], "1999"
CROSS = ("year", "length")


def _concluded(
    seed: int,
    base_error: float,
    planted: float,
    confidence: float,
    *,
    cell: tuple[str, int] | None = None,
    per_group: int = 1,
    cross: tuple[str, ...] = (),
) -> StudyResult:
    """Texts of random words; the planted one is in a part of them, where every answer is wrong.

    Args:
        cell: year and length of texts of which every answer is wrong.
        per_group: texts of a group, which have their own share of errors.
    """
    random = np.random.default_rng(seed)
    group = np.arange(TEXTS) // per_group
    year, length = random.choice(YEARS, TEXTS), random.integers(0, 3, TEXTS)
    year[:3], length[:3] = RARE_YEAR, (0, 1, 2)
    has_planted = random.random(TEXTS) < planted
    texts = [
        " ".join([*random.choice(WORDS, 8), *([PLANTED] if wrong else [])]) for wrong in has_planted
    ]
    label = random.permutation(np.arange(TEXTS) % 2)
    error = np.full(TEXTS, base_error)
    if per_group > 1:
        error = random.beta(4 * base_error, 4 * (1 - base_error), TEXTS)[group]
    is_wrong = (random.random(TEXTS) < error) | has_planted
    if cell:
        is_wrong |= (year == cell[0]) & (length == cell[1])
    answer = np.where(is_wrong, 1 - label, label)
    shares = np.full((TEXTS, 2), 1 - confidence)
    shares[np.arange(TEXTS), answer] = confidence
    held = words_of_texts(texts)
    measured = {
        "scores": np.log(shares),
        "label": label,
        "classes": np.array(["no", "yes"]),
        "group": group,
        "length": length,
        "word": held.words,
        "word_text": held.text,
        "word_number": held.number,
        "n_cut": np.array(0),
        "slice year": year,
    }
    return conclude(measured, seed, cross)


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


@known_answer(
    "evaluate", "of 9 crossed cells the one of wrong answers is named, and 3 are too small"
)
def planted_cell(seed: int) -> bool:
    result = _concluded(seed, 0.2, 0.0, 0.8, cell=("2002", 2), cross=CROSS)
    cells = [row["slice"] for row in result.rows if row["kind"] == "cell"]
    supported = {c.claim.split(": ")[-1] for c in result.claims[2:] if c.verdict == "supported"}
    left_out = next(row for row in result.rows if row["kind"] == "cells left out")
    is_named = supported & set(cells) == {"year 2002 and length long"}
    return is_named and len(cells) == 9 and left_out["slice"].startswith("3 cells")


@null("evaluate", "answers at random, as confident as they are right, in all crossed cells")
def answers_at_random(seed: int) -> StudyResult:
    return _concluded(seed, 0.5, 0.0, 0.5 + 1e-9, cross=CROSS)


@null("evaluate", "most answers are wrong, texts of a group together, alike in all crossed cells")
def even_cells(seed: int) -> StudyResult:
    result = _concluded(seed, 0.8, 0.0, 0.5 + 1e-9, per_group=2, cross=CROSS)
    return StudyResult(result.rows, result.claims[2:], result.figures)  # confidence is too high
