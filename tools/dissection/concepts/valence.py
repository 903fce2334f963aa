"""Words of good and bad feeling: ``valence("negative")``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...lexica import Lexica
from ...lexica.valence import VALENCES
from ..text_view import TextView
from .base import Concept, family, require
from .lexical import LexicalClass, distinct_rows, lexica_of_readings, no_rows

if TYPE_CHECKING:
    from jaxtyping import Bool

    from .base import CandidateRows


@family("valence")
@dataclass(frozen=True)
class Valence(LexicalClass):
    """A word that people rate as good or bad (``tools.lexica.valence``), in any part of speech."""

    text_bits: ClassVar[float] = 2.0  # one of four

    name: str

    def __post_init__(self) -> None:
        require(
            self.name in VALENCES, f"valence is one of {', '.join(VALENCES)}, not {self.name!r}"
        )

    def find_members(self, lexica: Lexica) -> frozenset[str] | None:
        if lexica.valence is None:
            return None
        test = VALENCES[self.name][0]
        words = [word for word, mean in lexica.valence.items() if word.isalpha() and test(mean)]
        return frozenset(f"{word} {part}" for word in words for part in "npvar")

    def phrase(self) -> str:
        return VALENCES[self.name][1]

    @classmethod
    def candidate_rows(
        cls, text: TextView, keep: Bool[np.ndarray, "contexts seq"], least: int
    ) -> CandidateRows:
        """The classes, and where they hold."""
        from scipy.sparse import csr_matrix

        lexica = lexica_of_readings(text)
        if lexica is None or lexica.valence is None:
            return no_rows(keep)
        concepts: list[Concept] = [cls(name) for name in VALENCES]
        rows = csr_matrix(np.stack([concept.mask(text)[keep] for concept in concepts]), dtype=float)
        return distinct_rows(concepts, rows, least)
