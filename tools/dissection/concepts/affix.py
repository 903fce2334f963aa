"""Morphology: how a token, or the word it belongs to, begins and ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..lexicon import Lexicon
from ..text_view import TextView
from .base import Concept, TokenClass, family, text_arguments

MAX_LETTERS = 5
MIN_WORDS = 4  # distinct words that share an affix worth trying
MOST_OF_ONE = 0.8
"""An affix that one word has at more than this share of its positions is that word: "mini-" is
"minister" (48 of 50 positions in Lee news)."""


@dataclass(frozen=True)
class _Affix(TokenClass):
    text_bits: ClassVar[float] = 60.0
    """More than there are: spelling is a meaning only where no word or class says nearly as much."""

    letters: str

    def __post_init__(self) -> None:
        text_arguments((self.letters,), self.family)

    def holds(self, lexicon: Lexicon, ids: np.ndarray) -> np.ndarray:
        letters = len(self.letters)
        members = lexicon.memo((self.family, letters), lambda: self._members(lexicon, letters))
        return lexicon.are_of_words(ids, members.get(self.letters, ()))

    @classmethod
    def _members(cls, lexicon: Lexicon, letters: int) -> dict[str, np.ndarray]:
        """Words by their affix of so many letters; one pass over the vocabulary for all affixes."""
        words: dict[str, list[int]] = {}
        for index, word in enumerate(lexicon.words):
            if len(word) > letters:
                words.setdefault(cls._cut(word, letters), []).append(index)
        return {affix: np.array(indices) for affix, indices in words.items()}

    @classmethod
    def _cut(cls, word: str, letters: int) -> str:
        raise NotImplementedError

    @classmethod
    def candidates(cls, text: TextView, least: int) -> Iterable[Concept]:
        counts = np.bincount(text.type_index[text.real], minlength=len(text.types))
        of_word: Counter[str] = Counter()
        for token, count in zip(text.types, counts.tolist(), strict=True):
            of_word[text.lexicon.characters[token].lower()] += count
        positions: Counter[str] = Counter()
        words: Counter[str] = Counter()
        most: Counter[str] = Counter()  # positions of its most frequent word
        for word, count in of_word.items():
            for letters in range(1, min(MAX_LETTERS, len(word) - 1) + 1):
                affix = cls._cut(word, letters)
                if affix.isalpha() and count:
                    positions[affix] += count
                    words[affix] += 1
                    most[affix] = max(most[affix], count)
        shared = (
            affix
            for affix in positions
            if positions[affix] >= least
            and words[affix] >= MIN_WORDS
            and most[affix] <= MOST_OF_ONE * positions[affix]
        )
        return [cls(affix) for affix in sorted(shared)]


@family("suffix")
@dataclass(frozen=True)
class Suffix(_Affix):
    """A longer token that ends with these letters, in any casing."""

    @classmethod
    def _cut(cls, word: str, letters: int) -> str:
        return word[-letters:]

    def phrase(self) -> str:
        return f"-{self.letters} words"


@family("prefix")
@dataclass(frozen=True)
class Prefix(_Affix):
    """A longer token that begins with these letters, in any casing."""

    @classmethod
    def _cut(cls, word: str, letters: int) -> str:
        return word[:letters]

    def phrase(self) -> str:
        return f"{self.letters}- words"
