from __future__ import annotations

import html
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.agent.heatmap import TokenMap, heat_html, heat_text, scale_of, visible

HIDDEN = ["\x00", "\x1b", "\x7f", "\x9b", "\u00ad", "\u200b", "\u202e", "\u2066", "\ufeff", "\ud800", "\U000e0041"]
TOKENS = st.lists(st.tuples(st.text(max_size=6), st.floats(-5, 5)), min_size=1, max_size=12)


def text_of(markup: str) -> str:
    return html.unescape(re.sub("<[^>]*>", "", markup))


def test_colour_goes_by_sign_and_eighths_of_the_scale():
    page = heat_html(TokenMap(["A", " b", " c", " d", " e"], [9, 4, -2, 0.1, -4], peak=1), 4.0)
    assert page == (
        '<span class=o>A</span> <i class="p8 k" title=+4>b</i> <i class="n4" title=-2>c</i>'
        ' <i title=+0.1>d</i> <i class="n8" title=-4>e</i>'
    )


def test_without_hover_on_all_weak_tokens_are_plain_text():
    page = heat_html(TokenMap(["A", " b", " c"], [0, 4, 0.1]), 4.0, hover_all=False)
    assert page == '<span class=o>A</span> <i class="p8 k" title=+4>b</i> c'


def test_predictions_are_coloured_on_the_same_window():
    shown = TokenMap(list("abcdef"), [0, 0, 0, 0, 0, 3], predicted=[0, 2, 0, 0, -2, 0])
    page = heat_html(shown, 2.0, predicted=True, window=(1, 0))
    assert page == '<span class=o>… </span><i class="n8" title=-2>e</i><i title=+0>f</i>'


def test_the_window_is_cut_around_the_strongest_scored_token():
    shown = TokenMap([str(i) for i in range(10)], [99, 0, 0, 0, -5, 1, 0, 0, 0, 0])
    assert text_of(heat_html(shown, 5, window=(2, 1))) == "… 2345 …"
    assert text_of(heat_html(shown, 5, window=None)) == "0123456789"


def test_scale_leaves_position_zero_out():
    assert scale_of([[50, 1, -3], [9, 2]]) == 3
    assert scale_of([]) == 0.0


@pytest.mark.parametrize("scale", [0.0, math.nan])
def test_no_scale_no_colour(scale):
    assert "class" not in heat_html(TokenMap(["a", "b", "c"], [0, 1, 2], peak=0), scale).split("</span>")[1]


def test_a_value_that_is_not_known_has_no_colour():
    assert "title=unknown>b" in heat_html(TokenMap(["a", "b", "c"], [0, math.nan, 2]), 2.0)


def test_a_coloured_space_is_seen_and_a_plain_one_is_a_space():
    page = heat_html(TokenMap(["a", " ", "b", "  "], [0, 0, 0, 3]), 3.0)
    assert text_of(page) == "a b␣␣"


@pytest.mark.parametrize("character", HIDDEN)
def test_nothing_hidden_reaches_page_or_terminal(character):
    shown = TokenMap(["a", f"b{character}c", "d"], [0, 1, 2])
    for output in (heat_html(shown, 2.0), heat_text(shown, 2.0).plain, visible(f"b{character}c")):
        assert character not in output
        assert f"‹U+{ord(character):04X}›" in output
        output.encode()


def test_line_breaks_and_tabs_have_signs():
    assert visible("a\n\tb") == "a⏎⇥b"


def test_markup_in_a_token_is_text():
    page = heat_html(TokenMap(["<b>", '<script>"', "&amp;"], [0, 1, 2]), 2.0)
    assert "<script" not in page
    assert "<b>" not in page
    assert text_of(page) == '<b><script>"&amp;'


@given(TOKENS)
def test_every_token_is_shown_once_and_in_order(pairs):
    tokens, values = [t for t, _ in pairs], [v for _, v in pairs]
    shown = TokenMap(tokens, values)
    expected = visible("".join(tokens)).replace(" ", "␣")
    assert text_of(heat_html(shown, 5.0, window=None)).replace(" ", "␣") == expected
    assert heat_text(shown, 5.0, window=None).plain == visible("".join(tokens))


def test_the_terminal_gets_both_colours():
    spans = heat_text(TokenMap(["a", "b", "c", "d"], [0, 4, -4, 0]), 4.0).spans
    assert [str(span.style) for span in spans] == ["dim", "bold white on rgb(217,119,6)", "white on rgb(37,99,235)"]
