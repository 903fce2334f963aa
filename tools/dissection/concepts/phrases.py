"""Phrases and names of several words as one: ``phrase("prime minister")``.

A phrase holds at its last token, where a model that reads from left to right can first know it. (For
phrases of two one-token words, "from the second token on" is the same.)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import log2
from typing import NamedTuple

import numpy as np

from ..text_view import TextView
from .base import Concept, family, require, text_arguments
from .words import quoted

WORD = re.compile(r"[^\W_]+")
PHRASE = re.compile(rf"{WORD.pattern}(?:[ -]{WORD.pattern})+")
MIN_BITS = 6.0
"""How much more often words must come together than by chance: 64 times. In Lee news "at least" does
so 100 times as often, "prime minister" 500 times, "of the" twice."""
MOST = 400
"""Candidates, those that hold together best first; the explore half of Lee news has 130."""


class RunningText(NamedTuple):
    """All contexts in lower case, one string, and the flat position of the token that ends at each place."""

    text: str
    position_of_end: np.ndarray


@family("phrase")
@dataclass(frozen=True)
class Phrase(Concept):
    """The text up to here ends in these words, in any casing; holds at the last token."""

    text: str

    def __post_init__(self) -> None:
        text_arguments((self.text,), "phrase")
        require(
            self.text == self.text.lower() and bool(PHRASE.fullmatch(self.text)),
            f"phrase takes words in lower case with one space or hyphen between them: {self.text!r}",
        )

    def mask(self, text: TextView) -> np.ndarray:
        running = running_text(text)
        pattern = re.compile(rf"(?<![^\W_]|['’]){re.escape(self.text)}")
        ends = [match.end() for match in pattern.finditer(running.text)]
        positions = running.position_of_end[ends]
        held = np.zeros(text.tokens.size, dtype=bool)
        held[positions[positions >= 0]] = True
        return held.reshape(text.tokens.shape)

    def phrase(self) -> str:
        return " ".join(quoted(self.text).replace("␣", " ").split())

    def literals(self) -> tuple[str, ...]:
        return tuple(WORD.findall(self.text))

    @classmethod
    def candidates(cls, text: TextView, least: int) -> Iterable[Concept]:
        return [cls(phrase) for phrase in frequent_phrases(running_text(text).text, least)]


def running_text(text: TextView) -> RunningText:
    """The contexts as one string, with a line break between them that no phrase crosses."""
    return text.memo("running text", lambda: _join(text))


def _join(text: TextView) -> RunningText:
    lower = text.lexicon.memo(
        "lower-case strings", lambda: [string.lower() for string in text.lexicon.strings]
    )
    pieces: list[str] = []
    ends: list[int] = []
    positions: list[int] = []
    length = 0
    width = text.tokens.shape[1]
    for row, (tokens, n_real) in enumerate(zip(text.tokens, text.length.tolist(), strict=True)):
        for column, token in enumerate(tokens[:n_real].tolist()):
            pieces.append(lower[token])
            length += len(lower[token])
            ends.append(length)
            positions.append(row * width + column)
        pieces.append("\n")
        length += 1
    position_of_end = np.full(length + 1, -1)
    # Of tokens that end at one place (some have no text) the first counts.
    position_of_end[ends[::-1]] = positions[::-1]
    return RunningText("".join(pieces), position_of_end)


def frequent_phrases(text: str, least: int) -> list[str]:
    """Two or three words that occur together often enough, and far more often than by chance."""
    words = Counter(WORD.findall(text))
    total = sum(words.values())
    bits: dict[str, float] = {}
    shorter = words
    for n_words in (2, 3):
        pattern = re.compile(
            rf"(?<![^\W_]|['’])(?=({WORD.pattern}(?:[ -]{WORD.pattern}){{{n_words - 1}}})(?![^\W_]|['’]))"
        )
        counts = Counter(match[1] for match in pattern.finditer(text))
        for phrase, count in counts.items():
            # Digits come together in dates and scores, where no phrase is meant.
            if count < least or any(map(str.isdigit, phrase)):
                continue
            first, after_first = re.split(r"[ -]", phrase, maxsplit=1)
            before_last, last = re.split(r"[ -](?=[^ -]+$)", phrase)
            # Both ends must belong to it: of "the gaza strip" the first does not.
            chance = max(words[first] * shorter[after_first], shorter[before_last] * words[last])
            bits[phrase] = log2(count * total / chance)
        shorter = counts
    firm = [phrase for phrase, value in bits.items() if value >= MIN_BITS]
    return sorted(firm, key=lambda phrase: (-bits[phrase], phrase))[:MOST]
