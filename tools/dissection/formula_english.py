"""A formula in English: terms of one sign and grade share a group, strongest first.

"Fires strongly on X, Y; slightly Z. Suppressed strongly by A; slightly B."
"""

from __future__ import annotations

from collections.abc import Sequence

CANNOT = "Cannot be explained: no concept predicts it."


def word_count(sentence: str) -> int:
    """Words as the limit of 40 counts them; in a list with slashes each member is one. The only place that decides."""
    return len(sentence.replace("/", " ").split())


def formula_english(terms: Sequence[tuple[str, str, int]], grades: Sequence[str]) -> str:
    """The sentence for (phrase, grade, sign) triples; ``grades`` from weakest to strongest."""
    if not terms:
        return CANNOT
    halves = []
    for sign, verb, joint in ((1, "fires", "on"), (-1, "suppressed", "by")):
        groups = [
            (grade, ", ".join(group))
            for grade in reversed(grades)
            if (
                group := [
                    phrase for phrase, its, direction in terms if its == grade and direction == sign
                ]
            )
        ]
        if groups:
            first = f"{verb} {groups[0][0]} {joint} {groups[0][1]}"
            halves.append("; ".join([first, *(f"{grade} {names}" for grade, names in groups[1:])]))
    sentence = ". ".join(half[:1].upper() + half[1:] for half in halves)
    return f"{sentence}."
