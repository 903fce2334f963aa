"""Nothing of a stranger's text stays hidden."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.tools.files.untrusted_text import show_hidden

HIDDEN = [
    "\x00",
    "\x1b",
    "\x7f",
    "\x9b",
    "\u00ad",
    "\u200b",
    "\u202e",
    "\u2066",
    "\ufeff",
    "\ud800",
    "\U000e0041",
]


@pytest.mark.parametrize("character", HIDDEN)
def test_nothing_hidden_reaches_page_or_terminal(character):
    visible = show_hidden(f"b{character}c")
    assert visible == f"b‹U+{ord(character):04X}›c"
    visible.encode()


def test_line_breaks_and_tabs_have_signs():
    assert show_hidden("a\n\tb") == "a⏎⇥b"


@given(st.text())
def test_what_is_visible_stays_as_it_is(text):
    assert show_hidden(show_hidden(text)) == show_hidden(text)
    assert all(
        character in text
        for character in show_hidden(text)
        if character not in "⏎⇥‹U+0123456789ABCDEF›"
    )
