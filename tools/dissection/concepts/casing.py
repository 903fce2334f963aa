"""Casing of a token: ``casing("capitalised")``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..lexicon import Lexicon
from ..text_view import TextView
from .base import Concept, TokenClass, family, require

STYLES = {
    "capitalised": lambda s: s[:1].isupper() and not s[1:].isupper(),
    "lower-case": lambda s: s.islower(),
    "upper-case": lambda s: len(s) > 1 and s.isupper(),
    "mixed-case": lambda s: any(c.isupper() for c in s[1:]) and any(c.islower() for c in s),
}


@family("casing")
@dataclass(frozen=True)
class Casing(TokenClass):
    """A token with letters of one casing style; upper-case tokens have two letters or more."""

    text_bits: ClassVar[float] = 2.0  # of four styles

    style: str

    def __post_init__(self) -> None:
        require(self.style in STYLES, f"casing is one of {', '.join(STYLES)}, not {self.style!r}")

    def holds(self, lexicon: Lexicon, ids: np.ndarray) -> np.ndarray:
        test = STYLES[self.style]
        strings = (lexicon.characters[i] for i in ids)
        return np.array([any(map(str.isalpha, s)) and test(s) for s in strings], dtype=bool)

    def phrase(self) -> str:
        return f"{self.style} words"

    def adjective(self) -> str:
        return self.style

    @classmethod
    def candidates(cls, text: TextView, least: int) -> Iterable[Concept]:
        return [cls(style) for style in STYLES]
