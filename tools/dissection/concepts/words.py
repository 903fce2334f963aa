"""Listed tokens and words.

``token(" Mr")`` is one exact token; ``words("says", "said")`` holds in any casing and spacing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..lexicon import Lexicon
from ..text_view import TextView
from .base import Concept, TokenClass, family, require, text_arguments


def quoted(word: str) -> str:
    """A word as a sentence shows it, with visible white space."""
    return f'"{visible(word)}"'


def visible(string: str) -> str:
    """Replace white space by visible signs, so that a token stays one word of the sentence."""
    for character, sign in ((" ", "␣"), ("\n", "⏎"), ("\t", "⇥"), ("\r", "⏎")):
        string = string.replace(character, sign)
    return string


def named_token(string: str) -> str:
    """An exact token as a sentence shows it: ``‹Mr›`` begins a word, ``‹…ing›`` goes on with one."""
    if string[:1] == " " and string[1:2].isalnum():
        return f"‹{visible(string[1:])}›"
    return f"‹…{visible(string)}›" if string[:1].isalnum() else f"‹{visible(string)}›"


@family("token")
@dataclass(frozen=True)
class Token(TokenClass):
    """One token of the vocabulary, with its leading space and casing."""

    string: str

    def __post_init__(self) -> None:
        text_arguments((self.string,), "token")

    def holds(self, lexicon: Lexicon, ids: np.ndarray) -> np.ndarray:
        return lexicon.are_tokens(ids, self.string)

    def phrase(self) -> str:
        return named_token(self.string)

    def literals(self) -> tuple[str, ...]:
        return (self.string,)

    def names_tokens(self) -> bool:
        return True

    @classmethod
    def candidates(cls, text: TextView, least: int) -> Iterable[Concept]:
        counts = np.bincount(text.type_index[text.real], minlength=len(text.types))
        strings = (text.lexicon.strings[token] for token in text.types[counts >= least])
        return [cls(string) for string in strings if string]


@family("words")
@dataclass(frozen=True, init=False)
class Words(TokenClass):
    """One of some listed words or word pieces: a token whose bare lower-case form is listed."""

    listed: tuple[str, ...]

    def __init__(self, *listed: str) -> None:
        words = text_arguments(listed, "words")
        require(
            all(w == w.strip().lower() for w in words),
            f"words are listed bare and in lower case: {words!r}",
        )
        require(len(set(words)) == len(words), f"a word is listed twice: {words!r}")
        object.__setattr__(self, "listed", words)

    def holds(self, lexicon: Lexicon, ids: np.ndarray) -> np.ndarray:
        return lexicon.are_of_words(ids, lexicon.ids_of_words(self.listed))

    def phrase(self) -> str:
        return "/".join(quoted(word) for word in self.listed)

    def literals(self) -> tuple[str, ...]:
        return self.listed

    def names_tokens(self) -> bool:
        return True

    def arguments(self) -> tuple[object, ...]:
        return self.listed

    @classmethod
    def candidates(cls, text: TextView, least: int) -> Iterable[Concept]:
        lexicon = text.lexicon
        counts = np.bincount(
            lexicon.word_of_token[text.tokens[text.real]], minlength=len(lexicon.words)
        )
        words = (lexicon.words[i] for i in np.flatnonzero(counts >= least))
        return [cls(word) for word in words if word]
