"""A word in all of its forms: ``lemma("play")`` holds for play, plays, played and playing.

A sentence shows it between stars, ``*play*``: the words "in any form" would take three of its 40 words
for each. It decides forms that were never seen, so that it is a rule and no listed word.
"""

from __future__ import annotations

from dataclasses import dataclass

from .base import Concept, family, require, text_arguments
from .tagged import LayerValues, TaggedWord
from .words import quoted


@family("lemma")
@dataclass(frozen=True)
class Lemma(TaggedWord):
    """Any form of a word, as a tagger reads it in its sentence."""

    word: str

    def __post_init__(self) -> None:
        text_arguments((self.word,), self.family)
        require(self.word == self.word.lower(), f"a lemma is in lower case: {self.word!r}")

    def reading(self) -> LayerValues:
        return LayerValues("lemma", (self.word,))

    def phrase(self) -> str:
        return f"*{self.word}*" if self.word.isalpha() else quoted(self.word)

    @classmethod
    def layers(cls) -> tuple[str, ...]:
        return ("lemma",)

    @classmethod
    def of_value(cls, layer: str, value: str) -> Concept | None:
        return cls(value)
