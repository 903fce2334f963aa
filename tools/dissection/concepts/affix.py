"""Morphology: how a token, or the word that it belongs to, begins and ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..lexicon import Lexicon
from ..text_view import TextView
from .base import Concept, TokenClass, family, text_arguments

LONGEST = 5


@dataclass(frozen=True)
class _Affix(TokenClass):
    letters: str

    def __post_init__(self) -> None:
        text_arguments((self.letters,), self.family)

    def holds(self, lexicon: Lexicon, ids: np.ndarray) -> np.ndarray:
        letters = len(self.letters)
        members = lexicon.memo((self.family, letters), lambda: self._members(lexicon, letters))
        return np.isin(lexicon.word_of_token[ids], members.get(self.letters, ()))

    @classmethod
    def _members(cls, lexicon: Lexicon, letters: int) -> dict[str, np.ndarray]:
        """Longer words by their affix of so many letters: one pass over the vocabulary serves every affix."""
        found: dict[str, list[int]] = {}
        for number, word in enumerate(lexicon.words):
            if len(word) > letters:
                found.setdefault(cls._cut(word, letters), []).append(number)
        return {affix: np.array(numbers) for affix, numbers in found.items()}

    @classmethod
    def _cut(cls, word: str, letters: int) -> str:
        raise NotImplementedError

    @classmethod
    def candidates(cls, text: TextView, least: int) -> Iterable[Concept]:
        counts = np.bincount(text.type_index[text.real], minlength=len(text.types))
        seen: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        for token, count in zip(text.types, counts, strict=True):
            word = text.lexicon.bare[token].lower()
            for letters in range(1, min(LONGEST, len(word) - 1) + 1):
                affix = cls._cut(word, letters)
                if affix.isalpha():
                    seen[affix] += int(count)
                    kinds[affix] += 1
        return [cls(affix) for affix in sorted(seen) if seen[affix] >= least and kinds[affix] >= 4]


@family("suffix")
@dataclass(frozen=True)
class Suffix(_Affix):
    """A token of more letters that ends so, in any casing."""

    @classmethod
    def _cut(cls, word: str, letters: int) -> str:
        return word[-letters:]

    def phrase(self) -> str:
        return f"-{self.letters}"


@family("prefix")
@dataclass(frozen=True)
class Prefix(_Affix):
    """A token of more letters that begins so, in any casing."""

    @classmethod
    def _cut(cls, word: str, letters: int) -> str:
        return word[:letters]

    def phrase(self) -> str:
        return f"{self.letters}-"
