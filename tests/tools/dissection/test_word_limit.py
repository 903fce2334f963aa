"""The limit of 40 words is one of reading: a listed word is a word, whatever stands between it and the next."""

from __future__ import annotations

from hubel.tools.dissection.concepts import find_family
from hubel.tools.dissection.predicate import Predicate, WeightedConcept, limit_problem
from hubel.tools.dissection.statement import word_count


def test_each_listed_word_counts_as_a_word() -> None:
    assert word_count('Fires strongly on "says"/"said"/"told", slightly on numbers.') == 9


def test_a_list_cannot_hide_words_from_the_limit() -> None:
    suffixes = ["ing", "ed", "er", "ly", "est", "ion", "ness", "ment"]
    context = [
        WeightedConcept(
            find_family("recent").from_arguments(n, find_family("suffix").from_arguments(s)),
            "slightly",
        )
        for n, s in enumerate(suffixes, 1)
    ]
    lists = [
        WeightedConcept(
            find_family("words").from_arguments(*(f"w{i}{j}" for j in range(6))), "moderately"
        )
        for i in range(4)
    ]
    assert "words, at most 40" in limit_problem((*lists, *context))
    # What an older version wrote stays readable.
    Predicate((*lists, *context))
