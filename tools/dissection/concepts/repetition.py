"""Repetition within a context: a repeated token, and induction (the token before is repeated)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..text_view import TextView, shift_right
from .base import Concept, family, require

WHAT = {"token": "repeated tokens", "word": "repeated words", "pair": "repeated pairs of tokens"}


@family("repeated")
@dataclass(frozen=True)
class Repeated(Concept):
    """The same token, word (letters only), or pair of tokens occurred earlier in this context."""

    text_bits: ClassVar[float] = 1.6  # of three things

    what: str

    def __post_init__(self) -> None:
        require(self.what in WHAT, f"repeated is one of {', '.join(WHAT)}, not {self.what!r}")

    def mask(self, text: TextView) -> np.ndarray:
        lexicon = text.lexicon
        if self.what == "word":
            return seen_before(lexicon.word_of_token[text.tokens]) & text.at_positions(
                lexicon.lettered[text.types]
            )
        keys = text.tokens.astype(np.int64)
        if self.what == "pair":
            previous = np.zeros_like(keys)
            previous[:, 1:] = keys[:, :-1] + 1
            keys = keys * (len(lexicon) + 1) + previous
        return seen_before(keys) & text.real

    def phrase(self) -> str:
        return WHAT[self.what]

    @classmethod
    def candidates(cls, text: TextView, least: int) -> Iterable[Concept]:
        return [cls(what) for what in WHAT]


@family("induction")
@dataclass(frozen=True)
class Induction(Concept):
    """The token right before occurred earlier in this context, so its continuation can be copied."""

    def mask(self, text: TextView) -> np.ndarray:
        return shift_right(Repeated("token").mask(text), 1) & text.real

    def contextual(self) -> bool:
        return True

    def phrase(self) -> str:
        return "after repeated tokens"

    @classmethod
    def candidates(cls, text: TextView, least: int) -> Iterable[Concept]:
        return [cls()]


def seen_before(keys: np.ndarray) -> np.ndarray:
    """True where a row has the same key further left."""
    # Sorted stably, a repeated key directly follows its earlier occurrence.
    order = np.argsort(keys, axis=1, kind="stable")
    ordered = np.take_along_axis(keys, order, axis=1)
    repeated = np.zeros(keys.shape, dtype=bool)
    repeated[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    in_place = np.zeros(keys.shape, dtype=bool)
    np.put_along_axis(in_place, order, repeated, axis=1)
    return in_place
