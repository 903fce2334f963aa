"""Words that are derived from each other: ``family("decide")`` has *decision* and *decisive*."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...lexica import Lexica
from ..text_view import TextView
from .base import Concept, family, require
from .lexical import LexicalClass, distinct_rows, lexica_of_readings, no_rows, readings_in
from .words import quoted

if TYPE_CHECKING:
    from jaxtyping import Bool

    from .base import CandidateRows

MIN_LEMMAS = 2
"""Of a family that occur in a text; one alone is its lemma."""


@family("family")
@dataclass(frozen=True)
class WordFamily(LexicalClass):
    """A word that WordNet's links of derivation connect with this one."""

    text_bits: ClassVar[float] = 11.0  # one of some thousand that a text suggests

    lemma: str

    def __post_init__(self) -> None:
        require(isinstance(self.lemma, str) and bool(self.lemma), f"family takes a word: {self!r}")

    def find_members(self, lexica: Lexica) -> frozenset[str] | None:
        return lexica.wordnet and lexica.wordnet.family(self.lemma)

    def phrase(self) -> str:
        return f"words derived from {quoted(self.lemma)}"

    @classmethod
    def candidate_rows(
        cls, text: TextView, keep: Bool[np.ndarray, "contexts seq"], least: int
    ) -> CandidateRows:
        """Families of which several lemmas occur at the kept positions, and where they hold."""
        from scipy.sparse import csr_matrix

        lexica = lexica_of_readings(text)
        wordnet = lexica and lexica.wordnet
        if wordnet is None:
            return no_rows(keep)
        found = readings_in(text)
        numbers = found.numbers(keep, wordnet.find)
        name_of = {
            reading: wordnet.family_of[wordnet.readings[number]]
            for reading, number in numbers.items()
            if wordnet.readings[number] in wordnet.family_of
        }
        names = sorted(set(name_of.values()))
        column = {name: i for i, name in enumerate(names)}
        row = {reading: i for i, reading in enumerate(name_of)}
        columns = [column[name] for name in name_of.values()]
        shape = (len(row), len(names))
        classes = csr_matrix((np.ones(len(row)), (np.arange(len(row)), columns)), shape=shape)
        lemmas = {name: set[str]() for name in names}
        for reading, name in name_of.items():
            lemmas[name].add(reading[:-2])
        several = [i for i, name in enumerate(names) if len(lemmas[name]) >= MIN_LEMMAS]
        concepts: list[Concept] = [cls(names[i]) for i in several]
        return distinct_rows(concepts, found.rows(keep, classes[:, several], row), least)
