"""A formula in English: terms of one sign and grade form a group, strongest first.

"Fires strongly on X, Y; slightly Z. Suppressed strongly by A; slightly B."
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

CANNOT = "Cannot be explained: no concept predicts it."
MAX_WORDS = 40
"""Words of an explanation's sentence, as `word_count` counts them."""


class GradedPhrase(NamedTuple):
    """A term's English: the concept's phrase, its grade word and its sign."""

    phrase: str
    grade: str
    sign: int


def word_count(sentence: str) -> int:
    """Words of a sentence; in a list with slashes each member is one word."""
    return len(sentence.replace("/", " ").split())


def formula_english(terms: Sequence[GradedPhrase], grades: Sequence[str]) -> str:
    """The sentence for some terms; `grades` are ordered from weakest to strongest."""
    if not terms:
        return CANNOT
    clauses: list[str] = []
    for sign, verb, preposition in ((1, "Fires", "on"), (-1, "Suppressed", "by")):
        groups: list[str] = []
        for grade in reversed(grades):
            phrases = [t.phrase for t in terms if t.sign == sign and t.grade == grade]
            if phrases:  # only the first group has the preposition
                joint = "" if groups else f" {preposition}"
                groups.append(f"{grade}{joint} {', '.join(phrases)}")
        if groups:
            clauses.append(f"{verb} {'; '.join(groups)}.")
    return " ".join(clauses)
