"""What came earlier: right after a concept, up to n tokens after it, or anywhere later in its context."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..text_view import TextView, shift_right
from .base import Concept, family, require


@dataclass(frozen=True)
class _Wrapped(Concept):
    inner: Concept

    def contextual(self) -> bool:
        return True

    def __post_init__(self) -> None:
        require(
            isinstance(self.inner, Concept),
            f"{self.family}(...) takes a concept, not {self.inner!r}",
        )


@family("after")
@dataclass(frozen=True)
class After(_Wrapped):
    """The inner concept holds at the token right before."""

    def mask(self, text: TextView) -> np.ndarray:
        return shift_right(self.inner.mask(text), 1) & text.real

    def phrase(self) -> str:
        return f"after {self.inner.noun()}"


@family("recent")
@dataclass(frozen=True)
class Recent(Concept):
    """The inner concept holds at one of the last ``count`` tokens (not the token itself)."""

    count: int
    inner: Concept

    def __post_init__(self) -> None:
        require(
            isinstance(self.count, int) and 1 <= self.count <= 64,
            f"recent(1..64, concept), not {self.count!r}",
        )
        require(isinstance(self.inner, Concept), f"recent(n, concept), not {self.inner!r}")

    def mask(self, text: TextView) -> np.ndarray:
        return held_within(self.inner.mask(text), self.count) & text.real

    def contextual(self) -> bool:
        return True

    def phrase(self) -> str:
        return f"within {self.count} tokens after {self.inner.noun()}"


@family("since")
@dataclass(frozen=True)
class Since(_Wrapped):
    """The inner concept holds somewhere earlier in this context, as if it opened a topic."""

    def mask(self, text: TextView) -> np.ndarray:
        inner = self.inner.mask(text)
        return shift_right(np.logical_or.accumulate(inner, axis=1), 1) & text.real

    def phrase(self) -> str:
        return f"anywhere after {self.inner.noun()}"


def held_within(mask: np.ndarray, count: int) -> np.ndarray:
    """True where ``mask`` holds at one of the ``count`` positions before."""
    # Column p of the running sums counts the positions before p.
    sums = np.concatenate([np.zeros((len(mask), 1), int), np.cumsum(mask, axis=1)], axis=1)
    position = np.arange(mask.shape[1])
    return sums[:, position] - sums[:, np.maximum(position - count, 0)] > 0
