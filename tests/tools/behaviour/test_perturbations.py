"""Perturbations change what they say and nothing else; shots never show the question itself."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.tools.behaviour.choices import ChoicePrompt
from hubel.tools.behaviour.perturbations import PERTURBATIONS, SAME_MEANING
from hubel.tools.behaviour.shots import shuffled_answers, with_shots
from hubel.tools.behaviour.word_edits import levenshtein, word_spans
from hubel.tools.errors import UsageError

TEXT = "Everyone knows that the capital of France is not Rome, because"


def versions(kind: str, text: str = TEXT) -> list[str]:
    drawn = [PERTURBATIONS[kind](text, np.random.default_rng(seed)) for seed in range(40)]
    assert all(each is not None for each in drawn)
    return [each for each in drawn if each]


def words_of(text: str) -> list[str]:
    return [text[start:end] for start, end in word_spans(text)]


def test_a_typo_is_one_slip_in_one_word() -> None:
    for changed in versions("typo"):
        pairs = list(zip(words_of(TEXT), words_of(changed), strict=True))
        slips = [(old, new) for old, new in pairs if old != new]
        assert len(slips) == 1
        ((old, new),) = slips
        assert len(old) >= 4
        assert new[0] == old[0]
        assert levenshtein(old, new) <= 2  # swapped letters are two changes
    assert len(set(versions("typo"))) > 10


def test_case_changes_capitals_only() -> None:
    assert {each.lower() for each in versions("case")} == {TEXT.lower()}
    assert TEXT not in versions("case")


def test_order_keeps_the_words_and_the_last_one() -> None:
    for changed in versions("order"):
        assert sorted(words_of(changed)) == sorted(words_of(TEXT))
        assert words_of(changed)[-1] == "because"
        assert changed != TEXT


def test_a_paraphrase_is_one_rule_in_one_direction() -> None:
    rules = {*SAME_MEANING, *((b, a) for a, b in SAME_MEANING)}
    for changed in versions("paraphrase"):
        assert any(
            changed.lower() == TEXT.lower().replace(a.lower(), b.lower(), 1) for a, b in rules
        )
    assert "Everybody knows that the capital of France is not Rome, because" in versions(
        "paraphrase"
    )


def test_what_does_not_apply_is_none() -> None:
    rng = np.random.default_rng(0)
    assert PERTURBATIONS["typo"]("a b", rng) is None
    assert PERTURBATIONS["case"]("1 2", rng) is None
    assert PERTURBATIONS["paraphrase"]("xyz", rng) is None
    assert PERTURBATIONS["order"]("one two", rng) is None


PROMPTS = [ChoicePrompt(f"q{n}", (f" a{n}", " b"), 0, f"group {n // 2}") for n in range(12)]


def test_shots_are_other_groups_with_right_or_others_answers() -> None:
    answers = {prompt.text: prompt.options[0] for prompt in PROMPTS}
    for shown, prompt in zip(with_shots(PROMPTS, 4), PROMPTS, strict=True):
        *shots, question = shown.text.split("\n")
        assert question == prompt.text
        assert len(set(shots)) == 4
        for shot in shots:
            asked, _, answer = shot.partition(" ")
            assert answers[asked] == f" {answer}"
            assert next(p.group for p in PROMPTS if p.text == asked) != prompt.group
    for shown in with_shots(PROMPTS, 4, answers="shuffled"):
        for shot in shown.text.split("\n")[:-1]:
            asked, _, answer = shot.partition(" ")
            assert answers[asked] != f" {answer}"


def test_a_single_shot_is_shuffled_with_one_that_is_not_shown() -> None:
    assert shuffled_answers([" a"], " spare") == [" spare"]
    assert shuffled_answers([" a", " b", " c"], " spare") == [" b", " c", " a"]
    with pytest.raises(UsageError, match="has 10 prompts of other groups"):
        with_shots(PROMPTS, 10)
