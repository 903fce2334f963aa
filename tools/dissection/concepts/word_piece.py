"""A token's place in its word: ``piece("first")``, for units that work on pieces of words."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING

import numpy as np

from ...annotation import PIECES
from ..text_view import TextView
from .base import Concept, family, require
from .tagged import matrix_of, positions_by_code

if TYPE_CHECKING:
    from jaxtyping import Bool
    from scipy.sparse import csr_matrix

PHRASES = {
    "whole": "words of one token",
    "first": "first pieces of words",
    "inner": "inner pieces of words",
    "last": "last pieces of words",
}


@family("piece")
@dataclass(frozen=True)
class WordPiece(Concept):
    """A token by its place in the word of a tagger that it belongs to."""

    place: str

    def __post_init__(self) -> None:
        require(self.place in PHRASES, f"piece is one of {', '.join(PHRASES)}, not {self.place!r}")

    def mask(self, text: TextView) -> Bool[np.ndarray, "contexts seq"]:
        return text.annotations.piece == PIECES.index(self.place)

    def phrase(self) -> str:
        return PHRASES[self.place]

    def bits(self) -> float:
        return log2(len(PHRASES))

    def annotation_layers(self) -> tuple[str, ...]:
        return ("piece",)

    @classmethod
    def candidate_rows(
        cls, text: TextView, keep: Bool[np.ndarray, "contexts seq"], least: int
    ) -> tuple[list[Concept], csr_matrix]:
        if text.annotation_problem:
            return [], matrix_of([], int(keep.sum()))
        codes = text.annotations.piece[keep]
        found = dict(positions_by_code(codes, len(PIECES), least))
        return [cls(PIECES[code]) for code in found], matrix_of([*found.values()], len(codes))
