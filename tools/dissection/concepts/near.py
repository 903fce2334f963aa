"""Neighbourhoods in the subject's embedding: ``near(40, "squad", "team")``, the 40 words nearest to their middle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import UsageError
from ..lexicon import Lexicon
from .base import TokenClass, family, require, text_arguments
from .words import quoted

REACHES = {12: "much like", 40: "like", 120: "somewhat like", 360: "vaguely like"}


@family("near")
@dataclass(frozen=True, init=False)
class NearWords(TokenClass):
    """The ``reach`` words whose vectors are nearest to the centroid of the examples, in any casing."""

    reach: int
    examples: tuple[str, ...]

    def __init__(self, reach: int, *examples: str) -> None:
        require(
            reach in REACHES,
            f"near(...) reaches {', '.join(map(str, REACHES))} words, not {reach!r}",
        )
        object.__setattr__(self, "reach", reach)
        object.__setattr__(self, "examples", text_arguments(examples, "near"))

    def members(self, lexicon: Lexicon) -> np.ndarray:
        """Its words, nearest first, as indices into ``lexicon.words``; a frozen lexicon knows only what it kept."""

        def find() -> np.ndarray:
            if (
                lexicon.vectors is None
                and (kept := lexicon.neighbourhoods.get(self.to_text())) is not None
            ):
                return np.array([lexicon.word_ids[word] for word in kept])
            return lexicon.map_words[nearest_rows(lexicon, self.examples, self.reach)]

        return lexicon.memo((self.examples, self.reach), find)

    def holds(self, lexicon: Lexicon, ids: np.ndarray) -> np.ndarray:
        return np.isin(lexicon.word_of_token[ids], self.members(lexicon))

    def phrase(self) -> str:
        return f"{REACHES[self.reach]} {'/'.join(quoted(word) for word in self.examples)}"

    def literals(self) -> tuple[str, ...]:
        return self.examples

    def arguments(self) -> tuple[object, ...]:
        return (self.reach, *self.examples)


def nearest_rows(lexicon: Lexicon, examples: tuple[str, ...], reach: int) -> np.ndarray:
    """Rows of ``lexicon.map`` of the nearest words, nearest first (ties: the more frequent word)."""
    similar = lexicon.map @ centroid(lexicon, examples)
    return np.lexsort((np.arange(len(similar)), -similar))[:reach]


def centroid(lexicon: Lexicon, examples: tuple[str, ...]) -> np.ndarray:
    """The middle of some words' vectors; UsageError where one has none."""
    rows = [
        lexicon.map_row_of_word[lexicon.word_ids[w]] if w in lexicon.word_ids else -1
        for w in examples
    ]
    if min(rows) < 0:
        raise UsageError(
            f"no neighbourhood for {examples!r}: each must be a single-token word of letters, lower case"
        )
    return lexicon.map[rows].mean(axis=0)
