"""Morphology: how a token, or the word it belongs to, begins and ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..lexicon import Lexicon
from ..text_view import TextView
from .base import Concept, TokenClass, family, text_arguments

MAX_LETTERS = 5
MIN_TYPES = 4  # token types that share an affix worth trying


@dataclass(frozen=True)
class _Affix(TokenClass):
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
        positions: Counter[str] = Counter()
        types: Counter[str] = Counter()
        for token, count in zip(text.types, counts, strict=True):
            word = text.lexicon.characters[token].lower()
            for letters in range(1, min(MAX_LETTERS, len(word) - 1) + 1):
                affix = cls._cut(word, letters)
                if affix.isalpha():
                    positions[affix] += int(count)
                    types[affix] += 1
        frequent = (a for a in positions if positions[a] >= least and types[a] >= MIN_TYPES)
        return [cls(affix) for affix in sorted(frequent)]


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
