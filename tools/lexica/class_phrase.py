"""What a class of WordNet is called in English: from ``wordnet_names.txt``, else by rule.

1. Nouns in the plural: ``animals``, ``days of the week``. Verbs: ``ways to travel``. Adjectives around
   a word: ``adjectives like "important"``; values of a noun: ``adjectives of size``.
2. Only the first sense of a word is named by rule: a reader takes *tracks* for the usual ones.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from .class_key import NAME, ClassKey

FILE = Path(__file__).parent / "wordnet_names.txt"
REFUSED = "-"
_IRREGULAR = {
    "man": "men",
    "person": "people",
    "child": "children",
    "foot": "feet",
    "tooth": "teeth",
}
_IRREGULAR |= {
    "mouse": "mice",
    "goose": "geese",
    "wife": "wives",
    "knife": "knives",
    "leaf": "leaves",
}
_SAME = (
    "craft",
    "fish",
    "sheep",
    "deer",
    "series",
    "species",
    "ware",
    "clothing",
    "furniture",
    "goods",
)


@cache
def listed_names() -> dict[str, str]:
    """Name by written key."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(" = ") for line in lines if line and not line.startswith("#"))
    return {key: name for key, _, name in pairs}


def class_phrase(key: ClassKey) -> str:
    """The English name; by rule for a class that is refused or not listed."""
    listed = listed_names().get(key.to_text(), REFUSED)
    if listed != REFUSED:
        return listed
    if key.is_attribute:
        return f"adjectives of {key.lemma}"
    if key.part == "a":
        return f'adjectives like "{key.lemma}"'
    if key.part == "v":
        return f"ways to {key.lemma}"
    lemma = key.lemma.title() if key.part == NAME else key.lemma
    return plural(lemma)


def is_nameable(key: ClassKey) -> bool:
    """Whether a reader makes something of the class's name."""
    listed = listed_names().get(key.to_text())
    return key.number == 1 if listed is None else listed != REFUSED


def plural(noun: str) -> str:
    """The plural of a noun phrase: of its last word, or of the one before "of" and the like."""
    head, between, rest = re.split(r"( (?:of|in|for|from|to) |$)", noun, maxsplit=1)
    before, space, last = head.rpartition(" ")
    return f"{before}{space}{_plural_word(last)}{between}{rest}"


def _plural_word(word: str) -> str:
    if word.endswith(_SAME):
        return word
    for singular, many in _IRREGULAR.items():
        if word.endswith(singular) and not word.endswith("human"):
            return word.removesuffix(singular) + many
    if re.search(r"(?:[sxz]|[cs]h)$", word):
        return f"{word}es"
    if re.search(r"[^aeiou]y$", word):
        return f"{word[:-1]}ies"
    return f"{word}s"
