"""The limit of 40 words is one of reading: a listed word is a word, whatever stands between it and the next."""

from __future__ import annotations

import pytest

from hubel.tools.dissection.concepts import find_family
from hubel.tools.dissection.formula_english import word_count
from hubel.tools.dissection.predicate import Predicate, WeightedConcept
from hubel.tools.errors import UsageError


def test_each_listed_word_counts_as_a_word() -> None:
    assert word_count('Fires strongly on "says"/"said"/"told", slightly on numbers.') == 9


def test_a_list_cannot_hide_words_from_the_limit() -> None:
    suffixes = ["ing", "ed", "er", "ly", "est", "ion", "ness", "ment"]
    context = [
        WeightedConcept(
            find_family("after").from_arguments(find_family("suffix").from_arguments(s)), "slightly"
        )
        for s in suffixes
    ]
    lists = [
        WeightedConcept(
            find_family("words").from_arguments(*(f"w{i}{j}" for j in range(6))), "moderately"
        )
        for i in range(4)
    ]
    with pytest.raises(UsageError, match="words, at most 40"):
        Predicate((*lists, *context))
