"""What planted units fire on, against a naive reading of the rules with Python's own `re`."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.tools.subject.planted_units import PlantedPart, SuiteUnit
from hubel.tools.subject.planted_units.match_text import (
    TextWithOffsets,
    activation,
    activation_by_part,
    active_tokens,
)

TEXT = 'On Monday he said "the cat  sat", and on\nFriday Mr Smith said: the dog did not. The cat sat again on Monday.'
PIECES = re.compile(r" ?[A-Za-z]{1,4}| ?[^A-Za-z\s]|\s+")
"""Tokens as a tokenizer might cut them: longer words fall apart, a space belongs to what follows."""


def passage(text: str = TEXT, context_len: int = 8) -> TextWithOffsets:
    offsets = np.array([match.span() for match in PIECES.finditer(text)]).reshape(-1, 2)
    return TextWithOffsets(text, offsets, context_len)


def naive(part: PlantedPart, text: str, offsets: np.ndarray, context_len: int) -> np.ndarray:
    """The rules, character by character."""
    on, seen = np.zeros(len(offsets), bool), []
    for match in re.finditer(part.match, text, flags=re.ASCII):
        start, end = match.span(1) if match.lastindex else match.span()
        tokens = [
            i
            for i, (a, b) in enumerate(offsets)
            if any(start <= c < end and not text[c].isspace() for c in range(a, b))
        ]
        if not tokens:
            continue
        context = tokens[0] // context_len
        before, here = (context, text[start:end]) in seen, tokens[0] % context_len
        seen.append((context, text[start:end]))
        if part.repeated and not before:
            continue
        if part.positions and not part.positions[0] <= here <= part.positions[1]:
            continue
        on[tokens] = True
        for i in range(tokens[-1] + 1, min(tokens[-1] + part.hold, len(offsets) - 1) + 1):
            on[i] |= i // context_len == tokens[-1] // context_len
    return on


PARTS = [
    PlantedPart(r"\b[A-Z][a-z]+day\b"),
    PlantedPart(r"\b[A-Z][a-z]+day\b", hold=3),
    PlantedPart(r"Mr ([A-Z][a-z]+)"),
    PlantedPart(r'"([^"]*)"', hold=1),
    PlantedPart(r"cat\s+sat"),
    PlantedPart(r"\s+"),
    PlantedPart(r"x*"),
    PlantedPart(r"\b[a-z]+\b", repeated=True),
    PlantedPart(r"\b[A-Za-z]+", positions=(0, 2)),
    PlantedPart(r"o", hold=100),
    PlantedPart(r"[a-z]|\W"),
    PlantedPart(r"said( \")?"),
]


@pytest.mark.parametrize("context_len", [4, 8, 1000])
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.match)
def test_active_tokens_are_those_of_a_naive_reading(part: PlantedPart, context_len: int) -> None:
    text = passage(context_len=context_len)
    expected = naive(part, TEXT, text.offsets, context_len)
    assert active_tokens(part, text).tolist() == expected.tolist()


@given(
    st.text(alphabet="ab \n.A", max_size=60),
    st.sampled_from(["a+", "a ?b", "(?:a) (b)", "A", r"\ba", "[.]", "b|A."]),
    st.integers(0, 5),
    st.integers(2, 9),
    st.booleans(),
)
def test_active_tokens_are_those_of_a_naive_matcher(
    text: str, pattern: str, hold: int, context_len: int, repeated: bool
) -> None:
    part = PlantedPart(pattern, hold=hold, repeated=repeated)
    cut = passage(text, context_len)
    assert active_tokens(part, cut).tolist() == naive(part, text, cut.offsets, context_len).tolist()


def test_a_match_over_the_edge_of_a_context_fires_on_both_sides_of_it() -> None:
    text = passage("one two Monday four", context_len=3)
    strings = [text.text[a:b] for a, b in text.offsets]
    assert strings == ["one", " two", " Mond", "ay", " four"]
    assert active_tokens(PlantedPart("Monday"), text).tolist() == [False, False, True, True, False]
    assert active_tokens(PlantedPart("Monday", hold=5), text).tolist() == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert active_tokens(PlantedPart("two", hold=5), text).tolist() == [
        False,
        True,
        True,
        False,
        False,
    ], "hold ends with the context"


def test_a_space_alone_is_not_shared() -> None:
    text = passage("one  two", context_len=8)
    assert [text.text[a:b] for a, b in text.offsets] == ["one", "  ", "two"] or len(text) == 3
    assert active_tokens(PlantedPart("one "), text).tolist() == [True, False, False]


def test_a_character_of_several_tokens_makes_all_of_them_active() -> None:
    """Byte-level tokenizers cut an emoji into tokens that cover the same character."""
    text = TextWithOffsets("a 🦆 b", np.array([[0, 1], [1, 3], [2, 3], [2, 3], [3, 5]]), 8)
    assert active_tokens(PlantedPart("🦆"), text).tolist() == [False, True, True, True, False]
    assert active_tokens(PlantedPart("b"), text).tolist() == [False, False, False, False, True]


def test_parts_add_with_their_sides_and_one_part_counts_once() -> None:
    text = passage("one two one")
    parts = (
        PlantedPart("one", strength=2.0, hold=1),
        PlantedPart("one|two", side="-", strength=0.5),
        PlantedPart("o", strength=8.0),
    )
    assert activation_by_part(parts, text).tolist() == [[2, 2, 2], [-0.5, -0.5, -0.5], [8, 8, 8]]
    assert activation(SuiteUnit("u", 0, parts=parts), text).tolist() == [9.5, 9.5, 9.5]
