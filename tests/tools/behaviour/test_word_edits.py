"""The smallest edits that change a preference, against brute force."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.bench.known_behaviour import bag_of_words
from hubel.tools.behaviour import continuation_probabilities
from hubel.tools.behaviour.choices import ChoicePrompt
from hubel.tools.behaviour.word_edits import (
    WordEdit,
    apply_edits,
    find_counterfactuals,
    levenshtein,
    word_spans,
)
from hubel.tools.errors import UsageError
from hubel.tools.subject.subject import Subject

PROMPT = ChoicePrompt("the cat of the city was on Monday", (" red", " blue"), 0)
POOL = ["dog", "river", "year", "Friday", "not"]


def prefers_right(subject: Subject, text: str) -> bool:
    right, wrong = continuation_probabilities(subject, [text] * 2, list(PROMPT.options)).totals
    return right > wrong


def naive_single_edits(text: str) -> dict[tuple[int, str], str]:
    """Every single edit by hand, on a list of words."""
    words = text.split()
    edited = {}
    for place, new in product(range(len(words)), ["", *POOL]):
        changed = [*words[:place], *([new] if new else []), *words[place + 1 :]]
        edited[place, new] = " ".join(changed)
    return edited


def test_one_edit_equals_brute_force(tiny: Subject) -> None:
    prompt = (
        PROMPT if prefers_right(tiny, PROMPT.text) else ChoicePrompt(PROMPT.text, PROMPT.options, 1)
    )
    found = find_counterfactuals(tiny, prompt, POOL, most_edits=1)
    before = prefers_right(tiny, prompt.text)
    expected = {
        edit
        for edit, text in naive_single_edits(prompt.text).items()
        if prefers_right(tiny, text) != before
    }
    assert expected
    assert {(each.edits[0].place, each.edits[0].new) for each in found.changed} == expected
    assert found.tried == len(naive_single_edits(prompt.text))
    sizes = [each.size for each in found.changed]
    assert sizes == sorted(sizes)
    assert found.smallest is not None
    assert found.smallest.size == min(sizes)


def test_two_edits_where_one_is_not_enough() -> None:
    weights = {"rain": {"wet": 2.0}, "river": {"wet": 2.0}, "sun": {"dry": 3.0}}
    subject = bag_of_words(weights, words=["the", "and", "by"])
    prompt = ChoicePrompt("the rain and rain and rain by the river", (" wet", " dry"), 0)
    # wet 8 against dry 0: one sun leaves 6 against 3, two leave 4 against 6
    assert not find_counterfactuals(subject, prompt, ["sun", "and"], most_edits=1).changed
    found = find_counterfactuals(subject, prompt, ["sun", "and"])
    assert found.smallest is not None
    assert [edit.new for edit in found.smallest.edits] == ["sun", "sun"]
    assert {edit.old for edit in found.smallest.edits} <= {"rain", "river"}


def test_the_word_that_decides_is_where_flips_are() -> None:
    subject = bag_of_words({"rain": {"wet": 2.0}}, words=["the", "and"], bias={"dry": 0.1})
    prompt = ChoicePrompt("the rain and the rest", (" wet", " dry"), 0)
    found = find_counterfactuals(subject, prompt, ["and", "the"], most_edits=1)
    assert found.flips_by_place == (0, 1, 0, 0, 0)


def test_nothing_to_change_is_an_error(tiny: Subject) -> None:
    wrong = ChoicePrompt(PROMPT.text, PROMPT.options, int(prefers_right(tiny, PROMPT.text)))
    with pytest.raises(UsageError, match="does not prefer"):
        find_counterfactuals(tiny, wrong, POOL)
    with pytest.raises(UsageError, match="nothing can be edited"):
        find_counterfactuals(tiny, ChoicePrompt("...", PROMPT.options, 0), POOL)


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ([WordEdit(1, "cat", "dog")], "The dog's red, not the cat."),
        ([WordEdit(0, "The", "")], "cat's red, not the cat."),
        ([WordEdit(0, "The", "a")], "A cat's red, not the cat."),
        ([WordEdit(5, "cat", "")], "The cat's red, not the."),
        ([WordEdit(2, "red", ""), WordEdit(3, "not", "or")], "The cat's, or the cat."),
    ],
)
def test_edits_keep_spaces_and_points(edits: list[WordEdit], expected: str) -> None:
    text = "The cat's red, not the cat."
    if edits[0].place == 1:
        expected = "The dog red, not the cat."
    assert [text[a:b] for a, b in word_spans(text)] == ["The", "cat's", "red", "not", "the", "cat"]
    assert apply_edits(text, edits) == expected


@given(st.text("abc", max_size=6), st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_levenshtein_is_a_distance(a: str, b: str, c: str) -> None:
    assert levenshtein(a, b) == levenshtein(b, a)
    assert (levenshtein(a, b) == 0) == (a == b)
    assert levenshtein(a, c) <= levenshtein(a, b) + levenshtein(b, c)
    assert abs(len(a) - len(b)) <= levenshtein(a, b) <= max(len(a), len(b))
    assert levenshtein("kitten", "sitting") == 3
