"""Conjunctions: ``both(casing("capitalised"), after(words("mr")))`` holds where both parts hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..text_view import TextView
from .base import Concept, family, require


@family("both")
@dataclass(frozen=True)
class Both(Concept):
    """Two concepts at once; counts as two."""

    first: Concept
    second: Concept

    def __post_init__(self) -> None:
        parts = (self.first, self.second)
        require(
            all(isinstance(part, Concept) for part in parts),
            f"both(concept, concept), not {parts!r}",
        )

    def mask(self, text: TextView) -> np.ndarray:
        return self.first.mask(text) & self.second.mask(text)

    def phrase(self) -> str:
        first, second = self.first, self.second
        if second.contextual():
            joint = " and " if first.contextual() else " "
            return f"{first.phrase()}{joint}{second.phrase()}"
        if first.contextual():
            return f"{second.phrase()} {first.phrase()}"
        if first.adjective():
            return f"{first.adjective()} {second.phrase()}"
        if second.adjective():
            return f"{second.adjective()} {first.phrase()}"
        return f"{first.phrase()} that are {second.phrase()}"

    def names_tokens(self) -> bool:
        return self.first.names_tokens() or self.second.names_tokens()

    def contextual(self) -> bool:
        return self.first.contextual() and self.second.contextual()
