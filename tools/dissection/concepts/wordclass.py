"""Closed classes and semantic fields of words, listed in ``classes.txt``:
``wordclass("pronouns")``.

A class holds its listed words in any casing. A sentence names the class, so that it lists no
literals.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from ..lexicon import Lexicon
from ..text_view import TextView
from .base import Concept, TokenClass, family, require

if TYPE_CHECKING:
    from jaxtyping import Bool

FILE = Path(__file__).parent.parent / "classes.txt"
FUNCTION_WORDS = "function words"
LEAST_LETTERS = 2
"""Of a content word."""


class ListedClasses(NamedTuple):
    """The classes of the file: their words, and what a sentence calls those that say it otherwise."""

    words: dict[str, frozenset[str]]
    phrases: dict[str, str]


@cache
def listed_classes() -> ListedClasses:
    """Reads the file: ``name: word ...`` or ``name = phrase: word ...``; ``@name`` includes a class."""
    table = ListedClasses({}, {})
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            head, _, listed = line.partition(":")
            name, _, phrase = (part.strip() for part in head.partition(" = "))
            words = listed.split()
            included = [table.words[w[1:].replace("_", " ")] for w in words if w.startswith("@")]
            own = frozenset(word for word in words if not word.startswith("@"))
            table.words[name] = own.union(*included)
            if phrase:
                table.phrases[name] = phrase
    return table


def classes() -> dict[str, frozenset[str]]:
    """Words by class."""
    return listed_classes().words


@family("wordclass")
@dataclass(frozen=True)
class WordClass(TokenClass):
    """One of the words of a class of ``classes.txt``."""

    text_bits: ClassVar[float] = 8.0  # of some 220 classes

    name: str

    def __post_init__(self) -> None:
        require(
            self.name in classes(), f"no word class {self.name!r}; there are {', '.join(classes())}"
        )

    def holds(self, lexicon: Lexicon, ids: np.ndarray) -> np.ndarray:
        words = lexicon.ids_of_words(classes()[self.name])
        return np.isin(lexicon.word_of_token[ids], words)

    def phrase(self) -> str:
        return listed_classes().phrases.get(self.name, self.name)

    @classmethod
    def candidates(cls, text: TextView, least: int) -> Iterable[Concept]:
        return [cls(name) for name in classes()]


def content_words(lexicon: Lexicon) -> Bool[np.ndarray, "words"]:
    """Words that begin with a space, of letters only, and are no function words."""

    def find() -> np.ndarray:
        tokens = lexicon.token_of_word
        stop = classes()[FUNCTION_WORDS]
        listed = np.array([word in stop or len(word) < LEAST_LETTERS for word in lexicon.words])
        return lexicon.spaced[tokens] & lexicon.lettered[tokens] & ~listed

    return lexicon.memo("content words", find)
