"""Tokens as an explainer reads them."""

from __future__ import annotations

import pytest

from hubel.tools.instruments.rendering import (
    AFTER,
    BEFORE,
    format_token_values,
    mark_active_tokens,
    quote_text,
)
from hubel.tools.subject.input_texts import InputText, batches

TOKENS = ["The", " cat", " sat", " on", " Monday"]


def test_active_tokens_are_marked_with_tenths_of_the_strongest() -> None:
    assert mark_active_tokens(TOKENS, [0, 1.0, 0.2, 0.5, 2.0], 2.0) == "The« cat»5 sat on« Monday»9"
    assert mark_active_tokens(TOKENS, [0, 0, 0, 0, 0], 0.0) == "The cat sat on Monday"


def test_a_long_text_is_cut_around_its_peak() -> None:
    tokens = [f" w{i}" for i in range(100)]
    signal = [0.0] * 100
    signal[60] = 1.0
    marked = mark_active_tokens(tokens, signal, 1.0, peak=60)
    assert marked.startswith(f"… w{60 - BEFORE} ")
    assert marked.endswith(f" w{60 + AFTER} …")
    assert "« w60»9" in marked
    assert mark_active_tokens(tokens[:5], signal[:5], 1.0, peak=2) == "w0 w1 w2 w3 w4"


@pytest.mark.parametrize("hostile", ["a\nb", "\x1b[2J", "«x»9", "\u202e", "\u200b"])
def test_a_text_cannot_forge_lines_marks_or_hide(hostile: str) -> None:
    quoted = quote_text(hostile)
    assert len(quoted.splitlines()) == 1
    assert not set(quoted) & set("\n\x1b«»\u202e\u200b")


def test_a_token_list_quotes_and_signs() -> None:
    assert format_token_values([" a", "\n"], [1.5, -2.25]) == '" a" +1.50, "⏎" -2.25'


def test_batches_hold_every_text_once_within_the_budget() -> None:
    lengths = [3, 50, 7, 7, 120, 1, 30]
    texts = [InputText.of_ids([0] * n) for n in lengths]
    all_batches = list(batches(texts, budget=60))
    numbers = [number for batch in all_batches for number in batch.numbers]
    assert sorted(numbers) == list(range(len(lengths)))
    for batch in all_batches:
        assert batch.texts == [texts[n] for n in batch.numbers]
        assert len(batch.numbers) == 1 or batch.ids.numel() <= 60
