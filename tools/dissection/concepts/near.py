"""Neighbourhoods in the subject's embedding: ``near(40, "squad", "team")``."""

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
    """The ``reach`` words whose vectors are nearest to the examples' centroid, in any casing."""

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
        """Its words, nearest first, as indices into ``lexicon.words``.

        A frozen lexicon knows only the neighbourhoods that it was frozen with.
        """

        def find() -> np.ndarray:
            frozen = lexicon.neighbourhoods.get(self.to_text())
            if lexicon.vectors is None and frozen is not None:
                return np.array([lexicon.word_ids[word] for word in frozen])
            return lexicon.map_words[nearest_rows(lexicon, self.examples, self.reach)]

        return lexicon.memo((self.examples, self.reach), find)

    def remember_members(self, lexicon: Lexicon, rows: np.ndarray) -> None:
        """Take its words, as rows of ``lexicon.map``, nearest first, which were found elsewhere."""
        lexicon.memo((self.examples, self.reach), lambda: lexicon.map_words[rows])

    def looked_up(self, lexicon: Lexicon) -> list[str]:
        return [lexicon.words[i] for i in self.members(lexicon)]

    def holds(self, lexicon: Lexicon, ids: np.ndarray) -> np.ndarray:
        return lexicon.are_of_words(ids, self.members(lexicon))

    def phrase(self) -> str:
        return f"words {REACHES[self.reach]} {'/'.join(quoted(word) for word in self.examples)}"

    def literals(self) -> tuple[str, ...]:
        return self.examples

    def arguments(self) -> tuple[object, ...]:
        return (self.reach, *self.examples)


def nearest_rows(lexicon: Lexicon, examples: tuple[str, ...], reach: int) -> np.ndarray:
    """Rows of ``lexicon.map`` of the nearest words, nearest first (ties: the more frequent word)."""
    similar = lexicon.map @ centroid(lexicon, examples)
    if len(similar) > reach:  # sort only those that can be among them
        near = np.flatnonzero(similar >= np.partition(similar, -reach)[-reach])
        return near[np.argsort(-similar[near], kind="stable")][:reach]
    return np.argsort(-similar, kind="stable")[:reach]


def centroid(lexicon: Lexicon, examples: tuple[str, ...]) -> np.ndarray:
    """The mean of some words' vectors; raises UsageError if one has none."""
    rows = [
        lexicon.map_row_of_word[lexicon.word_ids[word]] if word in lexicon.word_ids else -1
        for word in examples
    ]
    if min(rows) < 0:
        raise UsageError(
            f"no neighbourhood for {examples!r}: "
            "each must be a single-token word of letters, lower case"
        )
    return lexicon.map[rows].mean(axis=0)
