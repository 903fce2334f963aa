"""Kinds of token that depend on its string or id: numbers, punctuation, length, rarity."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...subject.token_text import mark_bytes
from ..lexicon import Lexicon
from ..text_view import TextView
from .base import Concept, TokenClass, family, require


def _contains_any(characters: str) -> Callable[[str], bool]:
    return lambda s: any(c in characters for c in s)


def _consists_of(characters: str) -> Callable[[str], bool]:
    return lambda s: bool(s.strip()) and set(s.strip()) <= set(characters)


def _is_one_of(characters: str) -> Callable[[str], bool]:
    return lambda s: s.strip() in set(characters)


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda s: bool(re.fullmatch(pattern, s))


def _is_punctuation(s: str) -> bool:
    return bool(s.strip()) and not any(c.isalnum() for c in s)


def _has_non_latin_letter(s: str) -> bool:
    return any(c.isalpha() and ord(c) > 0x24F for c in s)


# name: (test on the token's string as it is, phrase)
KINDS: dict[str, tuple[Callable[[str], bool], str]] = {
    "number": (lambda s: s.strip().isdigit(), "digits"),
    "even digit": (_is_one_of("02468"), "even digits"),
    "odd digit": (_is_one_of("13579"), "odd digits"),
    "ordinal": (_matches(r"\s*(\d*(st|nd|rd|th))"), "ordinal endings"),
    "punctuation": (_is_punctuation, "punctuation"),
    "sentence end": (_matches(r"\s*[.!?]+[\"'”’)]*"), "ends of sentences"),
    "comma": (lambda s: bool(re.fullmatch(r",[\"'”’)]*", s.strip())), "commas"),
    "colon": (lambda s: bool(re.fullmatch(r"[;:]+", s.strip())), "colons"),
    "quote": (_consists_of('"“”«»`'), "quotation marks"),
    "quote mark": (_contains_any('"“”'), "tokens with quotation marks"),
    "bracket": (_contains_any("()[]{}"), "brackets"),
    "dash": (_consists_of("-–—"), "dashes"),
    "apostrophe": (_contains_any("'’"), "tokens with apostrophes"),
    "currency": (_contains_any("$£€¥%"), "currency and percent signs"),
    "newline": (_contains_any("\n"), "line breaks"),
    "white space": (lambda s: bool(s) and not s.strip(), "white space"),
    "symbol": (_contains_any("+*/=<>|\\@#&^~_"), "symbols"),
    "single letter": (lambda s: len(s.strip()) == 1 and s.strip().isalpha(), "single letters"),
    "non-english": (_has_non_latin_letter, "non-Latin letters"),
    "no space": (lambda s: bool(s) and s[0].isalpha(), "letters without a space before"),
    "vowel end": (lambda s: s.strip()[-1:].lower() in set("aeiou"), "tokens ending in a vowel"),
}


@family("kind")
@dataclass(frozen=True)
class Kind(TokenClass):
    """A token whose string passes a test by name, e.g. ``kind("number")``."""

    text_bits: ClassVar[float] = 4.0  # of 18 kinds

    name: str

    def __post_init__(self) -> None:
        require(self.name in KINDS, f"kind is one of {', '.join(KINDS)}, not {self.name!r}")

    def holds(self, lexicon: Lexicon, ids: np.ndarray) -> np.ndarray:
        test = KINDS[self.name][0]
        return np.array([test(mark_bytes(lexicon.strings[i])) for i in ids], dtype=bool)

    def phrase(self) -> str:
        return KINDS[self.name][1]

    @classmethod
    def candidates(cls, text: TextView, least: int) -> Iterable[Concept]:
        return [cls(name) for name in KINDS]


@family("letters")
@dataclass(frozen=True)
class Letters(TokenClass):
    """A token of letters only, of at least (``letters("least", 8)``) or at most so many."""

    bound: str
    count: int

    def __post_init__(self) -> None:
        require(
            self.bound in ("least", "most") and self.count > 0,
            f"letters('least' or 'most', n): {self!r}",
        )

    def holds(self, lexicon: Lexicon, ids: np.ndarray) -> np.ndarray:
        size = np.array([len(lexicon.characters[i]) for i in ids])
        fits = size >= self.count if self.bound == "least" else size <= self.count
        return fits & lexicon.lettered[ids]

    def phrase(self) -> str:
        if self.bound == "least":
            return f"words of {self.count}+ letters"
        return f"words under {self.count + 1} letters"

    @classmethod
    def candidates(cls, text: TextView, least: int) -> Iterable[Concept]:
        return [*(cls("least", n) for n in range(5, 13)), *(cls("most", n) for n in range(1, 5))]


@family("rank")
@dataclass(frozen=True)
class Rank(TokenClass):
    """How common a token is: ``rank("rare", 30)`` is an id of 30,000 or more.

    Byte-pair ids are merge ranks.
    """

    side: str
    thousands: int

    def __post_init__(self) -> None:
        require(
            self.side in ("rare", "common") and self.thousands > 0,
            f"rank('rare' or 'common', thousands): {self!r}",
        )

    def holds(self, lexicon: Lexicon, ids: np.ndarray) -> np.ndarray:
        rare = np.asarray(ids) >= self.thousands * 1000
        return (rare if self.side == "rare" else ~rare) & lexicon.lettered[ids]

    def phrase(self) -> str:
        return f"{self.side} words (rank {'>' if self.side == 'rare' else '<'}{self.thousands}k)"

    @classmethod
    def candidates(cls, text: TextView, least: int) -> Iterable[Concept]:
        return [*(cls("rare", n) for n in (10, 20, 30, 40)), *(cls("common", n) for n in (1, 2, 5))]
