"""Texts longer than the context are cut, and counted."""

from __future__ import annotations

import pytest

from hubel.tools.datasets import tokens_in_context
from hubel.tools.errors import UsageError
from tests.support.tiny import WORDS, tiny_subject


def test_long_texts_are_cut_at_the_chosen_end_and_counted() -> None:
    subject = tiny_subject()
    short, long = WORDS.split()[0], " ".join(WORDS.split()[:9])
    whole = subject.tokenize(long).ids
    start = tokens_in_context(subject, [short, long], max_tokens=4)
    end = tokens_in_context(subject, [short, long], "end", max_tokens=4)
    assert (start.ids[1], end.ids[1]) == (whole[:4], whole[-4:])
    assert start.n_cut == 1
    assert start.note() == "1 of 2 texts are longer than 4 tokens and were cut"
    assert tokens_in_context(subject, [short]).note() == ""


def test_a_text_without_tokens_is_named() -> None:
    with pytest.raises(UsageError, match="text 2 has no tokens"):
        tokens_in_context(tiny_subject(), ["a", ""])
