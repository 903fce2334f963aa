"""What classes of readings have in common: members from a lexicon, or from a frozen list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...annotation import english_problem
from ...errors import UsageError
from ...lexica import Lexica
from ..lexicon import Lexicon
from ..text_readings import LAYERS, TextReadings, text_readings
from ..text_view import TextView
from .base import Concept
from .wordclass import classes

if TYPE_CHECKING:
    from jaxtyping import Bool
    from scipy.sparse import csr_matrix

    from .base import CandidateRows


@dataclass(frozen=True)
class LexicalClass(Concept):
    """A set of readings (``dog n``) that a lexicon gives; it also decides words that are not in the text."""

    def find_members(self, lexica: Lexica) -> frozenset[str] | None:
        """All of its readings; None if the lexicon is not there. Raises UsageError for an unknown class."""
        raise NotImplementedError

    def members(self, lexicon: Lexicon) -> frozenset[str]:
        """Its readings; a frozen lexicon knows only the classes that it was frozen with."""

        def find() -> frozenset[str]:
            frozen = lexicon.neighbourhoods.get(self.to_text())
            if frozen is not None:
                return frozenset(frozen)
            found = self.find_members(lexicon.lexica) if lexicon.lexica else None
            if found is None:
                raise UsageError(f"{self.to_text()} needs a lexicon that is not there")
            return found

        return lexicon.memo(self, find)

    @classmethod
    def candidate_rows(
        cls, text: TextView, keep: Bool[np.ndarray, "contexts seq"], least: int
    ) -> CandidateRows:
        """Classes that the words at the kept positions suggest, and where they hold (class x position)."""
        raise NotImplementedError

    def annotation_layers(self) -> tuple[str, ...]:
        return LAYERS

    def looked_up(self, lexicon: Lexicon) -> list[str]:
        return sorted(self.members(lexicon))

    def mask(self, text: TextView) -> Bool[np.ndarray, "contexts seq"]:
        return readings_in(text).mask(self.members(text.lexicon))


def readings_in(text: TextView) -> TextReadings:
    """The readings of a text's positions."""
    return text_readings(text, classes()["function words"])


def lexica_for(text: TextView) -> Lexica | None:
    """The lexica that know a text's words; None if there are none, or it is not English."""
    lexicon = text.lexicon

    def find() -> str:
        return english_problem(lexicon.strings, text.tokens, text.length)

    # A vocabulary without a tagger is a test's or a made one, with few function words.
    not_english = lexicon.annotator is not None and text.memo("english problem", find)
    return None if not_english else lexicon.lexica


def lexica_of_readings(text: TextView) -> Lexica | None:
    """The same, and None as well if the text's words should be tagged and cannot be."""
    if text.lexicon.annotator is not None and text.annotation_problem:
        return None
    return text.lexicon.lexica


def no_rows(keep: Bool[np.ndarray, "contexts seq"]) -> CandidateRows:
    """The candidates of a family whose lexicon is not there."""
    from scipy.sparse import csr_matrix

    return [], csr_matrix((0, int(keep.sum())))


def distinct_rows(
    concepts: list[Concept], rows: csr_matrix, least: int
) -> tuple[list[Concept], csr_matrix]:
    """Those that hold at enough positions; of several that hold at the same ones, the first.

    Args:
        rows: concept x position.
    """
    seen: set[bytes] = set()
    kept: list[int] = []
    rows.sort_indices()
    for i in range(len(concepts)):
        positions = rows.indices[rows.indptr[i] : rows.indptr[i + 1]]
        if len(positions) >= least and positions.tobytes() not in seen:
            seen.add(positions.tobytes())
            kept.append(i)
    return [concepts[i] for i in kept], rows[kept]
