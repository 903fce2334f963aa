"""A sentence of hubel's own gives the formula that it was made from, up to scale; no other text does."""

from __future__ import annotations

import pytest

from hubel.tools.dissection import Predicate
from hubel.tools.dissection.read_statement import read_statement
from hubel.tools.dissection.statement import Side


@pytest.mark.parametrize(
    ("formula", "side"),
    [
        ('strongly words("since", "to", "as") - strongly words("play", "played")', "both"),
        ('strongly words("but", "of") - strongly words("stunned", "joy")', "-"),
        ('extremely lemma("palestinian") + faintly form("finite verb") - extremely pos("adverb")', "both"),
        ('extremely pos("adjective") + strongly kind("number") + slightly after(words("the"))', "+"),
        ('- extremely pos("verb") + moderately lemma("to")', "both"),
        ('extremely lemma("go") + extremely lemma("come")', "+"),
    ],
)  # fmt: skip
def test_a_sentence_is_read_back(formula: str, side: Side) -> None:
    predicate = Predicate.parse(f"{formula}; step 0.5, rest 0.25")
    read = read_statement(predicate.sentence(side), side)
    assert read is not None
    largest, their_largest = (max(abs(t.weight) for t in p.terms) for p in (predicate, read))
    expected = {t.concept.to_text(): t.weight / largest for t in predicate.terms}
    assert {t.concept.to_text(): t.weight / their_largest for t in read.terms} == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Fires on dogs and cats.",
        "fires on adjectives.",
        "Fires on adjectives",
        "Fires on adjectives. And more.",
        'Fires on "Upper".',
        "Fires on adjectives. By name, more on ‹been›.",
        "Cannot be explained: no concept predicts it.",
        'strongly words("cat")',
    ],
)
def test_no_other_text_is_taken_for_one(text: str) -> None:
    assert read_statement(text) is None
