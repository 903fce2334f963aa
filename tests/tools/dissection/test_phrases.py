"""Phrases hold at their last token, whatever pieces their words have, and are found by a fixed rule."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.tools.dissection import Lexicon, Predicate, TextView
from hubel.tools.dissection.concepts.phrases import Phrase, frequent_phrases
from hubel.tools.errors import UsageError

STRINGS = ["Prime", " Minister", " prime", "min", " al", "-", "Q", "aeda", " min", "ister", "ial"]
STRINGS += [" vice", " of", "\n", " New", " York"]


def view(*rows: list[str], real: int | None = None) -> TextView:
    width = max(map(len, rows))
    tokens = np.array([[STRINGS.index(s) for s in row] + [0] * (width - len(row)) for row in rows])
    length = np.array([len(row) for row in rows] if real is None else [real] * len(rows))
    return TextView(tokens, length, Lexicon(STRINGS))


def held(phrase: str, text: TextView) -> list[list[int]]:
    return [np.flatnonzero(row).tolist() for row in Phrase(phrase).mask(text)]


def test_a_phrase_holds_at_its_last_token_in_any_casing() -> None:
    text = view(["Prime", " Minister", " of", " prime", " min", "ister", "ial"], [" min", " prime"])
    assert held("prime minister", text) == [[1, 5], []]
    assert held("minister of", text) == [[2], []]
    assert held("minister prime", text) == [[], []]


def test_pieces_hyphens_and_line_breaks() -> None:
    text = view(
        [" al", "-", "Q", "aeda", "\n", " New", " York"], ["Q", "aeda", " New", "\n", " York"]
    )
    assert held("al-qaeda", text) == [[3], []]
    assert held("qaeda new", text) == [[], [2]]
    assert held("new york", text) == [[6], []]


def test_padding_is_never_part_of_a_phrase() -> None:
    assert held("prime minister", view(["Prime", " Minister"], real=1)) == [[]]


def test_no_later_token_changes_where_a_phrase_holds() -> None:
    row = ["Prime", " min", "ister", "ial", " al", "-", "Q", "aeda", " New", " York"]
    for phrase in ("prime minister", "al-qaeda", "new york", "ministerial al"):
        whole = Phrase(phrase).mask(view(row))[0]
        for end in range(1, len(row)):
            assert Phrase(phrase).mask(view(row[:end]))[0].tolist() == whole[:end].tolist()


def test_it_is_one_concept_that_lists_its_words() -> None:
    phrase = Phrase("prime minister")
    assert (phrase.atoms(), phrase.literals()) == (1, ("prime", "minister"))
    assert not phrase.names_tokens()
    predicate = Predicate.parse('strongly phrase("prime minister")')
    assert predicate.sentence() == 'Fires on "prime minister".'
    assert Predicate.parse(predicate.to_text()) == predicate


@pytest.mark.parametrize("text", ["", "Minister of", "minister", "prime  minister", "a, b", "of "])
def test_what_is_no_phrase_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Phrase(text)


def test_candidates_are_words_that_come_together_often_and_not_by_chance() -> None:
    rng = np.random.default_rng(0)
    filler = [f"w{chr(97 + i)}" for i in range(20)]
    words: list[str] = []
    for i in range(4000):
        words.append(filler[rng.integers(20)])
        if i % 100 == 0:
            words += ["al-qaeda", filler[i % 19], "the", "gaza", "strip"]
        if i % 40 == 0:
            words += ["the", filler[rng.integers(20)]]
        if i % 500 == 0:
            words += ["rare", "bird"]
        if i % 90 == 0:
            words += ["don't", "know", "2001", "2002"]
    found = frequent_phrases(" ".join(words), least=10)
    assert set(found) == {"al-qaeda", "gaza strip"}
    assert found == frequent_phrases(" ".join(words), least=10)
