"""The place of a position: in a word, a sentence, a quotation, brackets, the context."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...subject.token_text import mark_bytes
from ..text_view import TextView, shift_right
from .base import Concept, family, require
from .kinds import KINDS


def _tokens(text: TextView, kind: str) -> np.ndarray:
    test = KINDS[kind][0]
    return text.at_positions(
        np.array([test(mark_bytes(text.lexicon.strings[t])) for t in text.types], dtype=bool)
    )


def continuing(text: TextView) -> np.ndarray:
    """Tokens that continue the word of the token before (no space between letters or digits)."""
    lexicon = text.lexicon
    begins = np.array([s[:1].isalnum() for s in lexicon.strings])[text.tokens]
    ends = np.array([mark_bytes(s)[-1:].isalnum() for s in lexicon.strings])[text.tokens]
    return begins & shift_right(ends & text.real, 1) & text.real


def _sentence_start(text: TextView) -> np.ndarray:
    word = text.at_positions(text.lexicon.alphanumeric[text.types])
    ends = _tokens(text, "sentence end")
    opened = shift_right(ends, 1)
    skipped = text.real & ~word & ~ends
    for _ in range(3):  # quotation marks and spaces may come between a full stop and the next word
        opened = opened | shift_right(opened & skipped, 1)
    return opened & word


def _inside_quotes(text: TextView) -> np.ndarray:
    marks_in = np.array([sum(map(s.count, '"“”')) for s in text.lexicon.strings])
    marks = np.where(text.real, marks_in[text.tokens], 0)
    before = np.cumsum(marks, axis=1) - marks
    return (before % 2 == 1) & (marks == 0) & text.real


def _inside_brackets(text: TextView) -> np.ndarray:
    change_in = [sum(map(s.count, "([{")) - sum(map(s.count, ")]}")) for s in text.lexicon.strings]
    changes = np.where(text.real, np.array(change_in)[text.tokens], 0)
    depth = np.zeros(len(text.tokens), dtype=np.int64)
    inside = np.zeros(text.tokens.shape, dtype=bool)
    for p in range(text.tokens.shape[1]):
        inside[:, p] = (depth > 0) & (changes[:, p] == 0)
        depth = np.maximum(depth + changes[:, p], 0)
    return inside & text.real


def _later_pieces(text: TextView) -> np.ndarray:
    later = continuing(text)
    return later & shift_right(later, 1)


PLACES: dict[str, tuple[Callable[[TextView], np.ndarray], str]] = {
    "word piece": (continuing, "later pieces of words"),
    "third piece": (_later_pieces, "third or later pieces of words"),
    "sentence start": (_sentence_start, "first words of sentences"),
    "quotation": (_inside_quotes, "text inside quotation marks"),
    "brackets": (_inside_brackets, "text inside brackets"),
}


@family("place")
@dataclass(frozen=True)
class StructurePlace(Concept):
    """A place in a word, sentence, quotation or bracket, e.g. ``place("sentence start")``."""

    text_bits: ClassVar[float] = 2.5  # of five places

    name: str

    def __post_init__(self) -> None:
        require(self.name in PLACES, f"place is one of {', '.join(PLACES)}, not {self.name!r}")

    def mask(self, text: TextView) -> np.ndarray:
        return text.memo(("place", self.name), lambda: PLACES[self.name][0](text))

    def phrase(self) -> str:
        return PLACES[self.name][1]

    @classmethod
    def candidates(cls, text: TextView, least: int) -> Iterable[Concept]:
        return [cls(name) for name in PLACES]


@family("position")
@dataclass(frozen=True)
class Position(Concept):
    """Positions ``first`` to ``last`` of the context, counted from 0."""

    first: int
    last: int

    def __post_init__(self) -> None:
        require(
            isinstance(self.first, int)
            and isinstance(self.last, int)
            and 0 <= self.first <= self.last,
            f"position(first, last), not {self.first!r}, {self.last!r}",
        )

    def mask(self, text: TextView) -> np.ndarray:
        position = np.arange(text.tokens.shape[1])
        return ((position >= self.first) & (position <= self.last))[None, :] & text.real

    def contextual(self) -> bool:
        return True

    def phrase(self) -> str:
        return f"at places {self.first}-{self.last} of the excerpt"

    @classmethod
    def candidates(cls, text: TextView, least: int) -> Iterable[Concept]:
        end = text.tokens.shape[1] - 1
        return [
            *(cls(0, n) for n in (1, 2, 3, 4, 8, 16, 32) if n < end),
            *(cls(n, end) for n in (32, 48) if n < end),
        ]
