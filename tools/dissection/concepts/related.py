"""Another word's annotations: of the word before, and of the word that a word depends on.

previous(lemma("say"))                            right after *say*
both(relation("object"), head(lemma("win")))      objects of verbs depending on *win*
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...annotation import HEAD, PREVIOUS, Annotations, spread
from ..text_view import TextView
from .base import Concept, family, require
from .both import Both
from .grammatical import PartOfSpeech, Relation, WordForm
from .lemma import Lemma
from .proper_names import EntityKind
from .tagged import LayerValues, TaggedWord, matrix_of, positions_by_code, rows_of_family, together

if TYPE_CHECKING:
    from jaxtyping import Bool
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class OfAnotherWord(TaggedWord):
    """A concept over words, read at another word."""

    inner: Concept

    def __post_init__(self) -> None:
        require(
            isinstance(self.inner, TaggedWord),
            f"{self.family}(...) takes a concept of words such as lemma(...) or pos(...), "
            f"not {self.inner!r}",
        )

    def reading(self) -> LayerValues:
        assert isinstance(self.inner, TaggedWord)
        return self.inner.reading()

    def contextual(self) -> bool:
        return True

    def holds_for(self, annotations: Annotations) -> Bool[np.ndarray, " words"]:
        assert isinstance(self.inner, TaggedWord)
        return spread(self.inner.holds_for(annotations), self.others(annotations))

    def others(self, annotations: Annotations) -> np.ndarray:
        """The index of the word at which the inner concept is read; -1 if there is none."""
        raise NotImplementedError


@family("previous")
@dataclass(frozen=True)
class PreviousWord(OfAnotherWord):
    """The inner concept holds for the word before, however many tokens that has."""

    def others(self, annotations: Annotations) -> np.ndarray:
        return annotations.previous

    def phrase(self) -> str:
        return f"right after {self.inner.noun()}"

    @classmethod
    def candidate_rows(
        cls, text: TextView, keep: Bool[np.ndarray, "contexts seq"], least: int
    ) -> tuple[list[Concept], csr_matrix]:
        families: list[type[TaggedWord]] = [Lemma, PartOfSpeech, WordForm, Relation, EntityKind]
        parts = [rows_of_family(one, text, keep, least, PREVIOUS, cls) for one in families]
        return together(parts)


@family("head")
@dataclass(frozen=True)
class HeadWord(OfAnotherWord):
    """The inner concept holds for the word that this one depends on."""

    def others(self, annotations: Annotations) -> np.ndarray:
        return annotations.head

    def phrase(self) -> str:
        return f"depending on {self.inner.noun()}"

    @classmethod
    def candidate_rows(
        cls, text: TextView, keep: Bool[np.ndarray, "contexts seq"], least: int
    ) -> tuple[list[Concept], csr_matrix]:
        families: list[type[TaggedWord]] = [Lemma, PartOfSpeech, WordForm, EntityKind]
        parts = [rows_of_family(one, text, keep, least, HEAD, cls) for one in families]
        parts.append(_relations_to_words(text, keep, least))
        return together(parts)


def _relations_to_words(
    text: TextView, keep: Bool[np.ndarray, "contexts seq"], least: int
) -> tuple[list[Concept], csr_matrix]:
    """``both(relation("object"), head(lemma("win")))`` for all pairs that are frequent enough."""
    concepts, columns = list[Concept](), list[np.ndarray]()
    if not text.annotation_problem:
        relation, lemma = (text.annotations.layer(name) for name in ("relation", f"{HEAD}lemma"))
        first, second = relation.codes[keep].astype(np.int64), lemma.codes[keep]
        n_lemmas = len(lemma.values)
        pair = np.where((first >= 0) & (second >= 0), first * n_lemmas + second, -1)
        for code, positions in positions_by_code(pair, len(relation.values) * n_lemmas, least):
            one, other = relation.values[code // n_lemmas], lemma.values[code % n_lemmas]
            concepts.append(Both(Relation(one), HeadWord(Lemma(other))))
            columns.append(positions)
    return concepts, matrix_of(columns, int(keep.sum()))
