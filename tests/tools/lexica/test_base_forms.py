"""The readings of a word without a tagger."""

from __future__ import annotations

import pytest

from hubel.tools.lexica import possible_readings


@pytest.mark.parametrize(
    ("word", "reading"),
    [
        ("dog", "dog n"),
        ("dogs", "dog n"),
        ("Dogs", "dog p"),
        ("cities", "city n"),
        ("churches", "church n"),
        ("women", "woman n"),
        ("policemen", "policeman n"),
        ("said", "say v"),
        ("decided", "decide v"),
        ("stopped", "stop v"),
        ("running", "run v"),
        ("tries", "try v"),
        ("bigger", "big a"),
        ("nicest", "nice a"),
        ("happier", "happy a"),
        ("quickly", "quickly r"),
    ],
)
def test_the_right_reading_is_among_them(word: str, reading: str) -> None:
    assert reading in possible_readings(word)


def test_an_irregular_form_has_no_regular_reading_and_a_name_is_no_noun() -> None:
    assert "said v" not in possible_readings("said")
    assert "dog n" not in possible_readings("Dogs")
    assert "a n" not in possible_readings("as")
