"""Tokens are given the word that their first non-space character lies in."""

from __future__ import annotations

import random
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.tools.annotation.alignment import FIRST, INNER, LAST, WHOLE, align, context_text
from hubel.tools.annotation.annotator import tag_contexts

ODD = (
    "  Can't stop —  won't\tstop!\n\nNaïve café owners’ “quotes”… cost $3.50 (about 4€).",
    "Emoji 👩‍👩‍👧 in the middle🙂of words, e.g. U.S.A.'s non-breaking\u00a0space and zero\u200bwidth.",
    "x = foo_bar[1]; print('hi')  # a comment\r\nMr. O'Neill-Smith's  dogs.",
    "日本語 and Ελληνικά and हिन्दी mixed; a\u0301 combining accent.",
    "   ",
)


def cut(text: str, seed: int) -> list[str]:
    """A text cut at random places."""
    draw = random.Random(seed)
    places = sorted(draw.sample(range(1, len(text)), min(len(text) - 1, len(text) // 3)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


@pytest.mark.tagger
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("text", ODD)
def test_every_token_has_the_word_of_spacy_at_its_first_character(
    tagger: Any, text: str, seed: int
) -> None:
    pieces = cut(text, seed)
    tokens = np.arange(len(pieces))[None, :]
    annotations = tag_contexts(tagger, pieces, tokens, np.array([len(pieces)]))
    document = tagger(text.lstrip())
    words = [word for word in document if not word.is_space]
    lemma = annotations.layer("lemma")
    start = -(len(text) - len(text.lstrip()))
    for i, piece in enumerate(pieces):
        place = start + len(piece) - len(piece.lstrip())
        here = [n for n, word in enumerate(words) if word.idx <= place < word.idx + len(word)]
        expected = here[0] if here and piece.strip() else -1
        assert annotations.word[0, i] == expected
        if expected >= 0:
            assert lemma.values[lemma.codes[0, i]] == words[expected].lemma_.lower()
        start += len(piece)
    assert len(annotations) == len(words)


def test_pieces_of_a_word() -> None:
    context = context_text([" pl", "an", "ning", " it", ".", " "])
    aligned = align(context, np.array([0, 9, 11]), np.array([8, 11, 12]))
    assert aligned.word.tolist() == [0, 0, 0, 1, 2, -1]
    assert aligned.piece.tolist() == [FIRST, INNER, LAST, WHOLE, WHOLE, -1]


def test_a_token_over_two_words_belongs_to_the_first() -> None:
    context = context_text(["don", "'t", " go", '."'])
    aligned = align(context, np.array([0, 2, 6, 8, 9]), np.array([2, 5, 8, 9, 10]))
    assert aligned.word.tolist() == [0, 1, 2, 3]


def test_bytes_of_one_character_are_its_pieces() -> None:
    bytes_of = [f"<0x{byte:02X}>" for byte in "é".encode()]
    context = context_text(["caf", *bytes_of, " ", *bytes_of, " ", "<0xE2>"])
    assert context.text == "café é \ufffd\ufffd\ufffd\ufffd\ufffd\ufffd"
    aligned = align(context, np.array([0, 5, 7]), np.array([4, 6, 13]))
    assert aligned.word.tolist() == [0, 0, 0, -1, 1, 1, -1, 2]
    assert aligned.piece.tolist() == [FIRST, INNER, LAST, -1, FIRST, LAST, -1, WHOLE]


@given(st.lists(st.text(max_size=6), max_size=12))
def test_words_of_a_naive_division_are_found(pieces: list[str]) -> None:
    context = context_text(pieces)
    spans = [match.span() for match in re.finditer(r"\S+", context.text)]
    first = np.array([a for a, _ in spans], dtype=np.int64)
    last = np.array([b for _, b in spans], dtype=np.int64)
    aligned = align(context, first, last)
    for word, start, end in zip(aligned.word, context.start, context.end, strict=True):
        if end <= start:
            assert word == -1
        else:
            assert spans[word][0] <= start < spans[word][1]
