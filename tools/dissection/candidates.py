"""Everything that a search over one explore split needs, computed once and shared by all of its
targets.

1. Every family proposes candidates for the vocabulary that occurs in the text.
2. Classes of tokens become a sparse (class x type) matrix, read through two *channels*: the token
   itself, the token before it. Other concepts become a sparse (concept x position) matrix.
3. With residuals summed by token type and fold, the gain of every class through a channel is one
   sparse product.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .concepts import FAMILIES, Concept, TokenClass
from .concepts.before import After, Since
from .concepts.near import REACHES, NearWords
from .concepts.words import Token, Words
from .lexicon import Lexicon
from .text_view import TextView

if TYPE_CHECKING:
    from jaxtyping import Bool, Int
    from scipy.sparse import csr_matrix

FOLDS = 4
COMPANIONS = 120  # of some 30,000 words; from 300 a list reads as anything (+.012 r at layer 1, nothing elsewhere)
LEAST = 6  # positions below which a concept is not worth a term: its weight would be a guess


class CandidateMatrix:
    """Candidate concepts over the tokens of one split, and where each of them holds.

    Args:
        text: the contexts to learn from.
        document: id of each context's document; folds never share one.
        keep: positions that count (real tokens but position 0).
    """

    def __init__(
        self,
        text: TextView,
        document: Int[np.ndarray, "contexts"],
        keep: Bool[np.ndarray, "contexts seq"],
        seed: int = 0,
    ) -> None:
        self.text = text
        self.keep = np.asarray(keep) & text.real
        rows, columns = np.nonzero(self.keep)
        documents, which = np.unique(np.asarray(document)[rows], return_inverse=True)
        self.document = which
        self.fold = (np.random.default_rng(seed).permutation(len(documents)) % FOLDS)[which]
        self.current = text.type_index[rows, columns]
        self.previous = text.type_index[rows, np.maximum(columns - 1, 0)]
        self.classes: list[TokenClass] = []
        self.position_concepts: list[Concept] = []
        for cls in FAMILIES.values():
            for concept in cls.candidates(text, LEAST):
                (
                    self.classes if isinstance(concept, TokenClass) else self.position_concepts
                ).append(concept)  # type: ignore[arg-type]
        self.position_concepts.extend(Since(c) for c in Words.candidates(text, 3 * LEAST))
        self._companions: dict[int, np.ndarray] = {}
        self._near = word_neighbourhoods(self) if self.lexicon.vectors is not None else {}
        self.classes.extend(self._near)

    def nearest_words(self, word: int, reach: int = COMPANIONS) -> np.ndarray:
        """The word itself, then the words of this text among its ``reach`` nearest of the vocabulary, nearest first."""
        if word not in self._companions:
            self._companions[word] = _companions(self, word, reach)
        return self._companions[word]

    @property
    def lexicon(self) -> Lexicon:
        return self.text.lexicon

    def __len__(self) -> int:
        return len(self.fold)

    @cached_property
    def class_members(self) -> csr_matrix:
        """Class x type, 1 where the type is a member."""
        from scipy.sparse import csr_matrix, vstack

        rows = [csr_matrix(self._holds(c)[None, :], dtype=np.float32) for c in self.classes]
        return csr_matrix(vstack(rows))

    def _holds(self, concept: TokenClass) -> np.ndarray:
        if isinstance(concept, NearWords) and concept in self._near:
            return np.isin(self.word_of_type, self._near[concept])
        return concept.holds(self.lexicon, self.text.types)

    @cached_property
    def position_members(self) -> csr_matrix:
        """Other concept x position."""
        from scipy.sparse import csr_matrix, vstack

        rows = [
            csr_matrix(c.mask(self.text)[self.keep][None, :], dtype=np.float32)
            for c in self.position_concepts
        ]
        return csr_matrix(vstack(rows))

    def column(self, concept: Concept) -> np.ndarray:
        """Where a concept holds, as one float column over kept positions."""
        return concept.mask(self.text)[self.keep].astype(np.float64)

    @cached_property
    def channels(self) -> list[Channel]:
        """The token itself, and the token right before."""
        return [
            Channel(self, self.current, before=False),
            Channel(self, self.previous, before=True),
        ]

    def sums_by_fold(
        self, index: np.ndarray, size: int, values: np.ndarray | None = None
    ) -> np.ndarray:
        """Sums of values (or counts) by index and fold: (size, FOLDS)."""
        flat = index * FOLDS + self.fold
        return np.bincount(flat, values, minlength=size * FOLDS).reshape(size, FOLDS)

    @cached_property
    def position_counts(self) -> np.ndarray:
        return np.stack(
            [self.position_members @ (self.fold == f).astype(np.float32) for f in range(FOLDS)],
            axis=1,
        )

    @cached_property
    def word_of_type(self) -> np.ndarray:
        """Index of each type's word among the words of this text."""
        return np.unique(self.lexicon.word_of_token[self.text.types], return_inverse=True)[1]

    @cached_property
    def word_index(self) -> dict[str, int]:
        """Position of each word in ``words``."""
        return {word: i for i, word in enumerate(self.words)}

    @cached_property
    def words(self) -> list[str]:
        """The distinct words of this text, in the order of ``word_of_type``."""
        return [
            self.lexicon.words[w] for w in np.unique(self.lexicon.word_of_token[self.text.types])
        ]


def _companions(library: CandidateMatrix, word: int, reach: int) -> np.ndarray:
    lexicon = library.lexicon
    place = lexicon.map_row_of_word[lexicon.word_ids[library.words[word]]]
    if place < 0:
        return np.array([word])
    similar = lexicon.map @ lexicon.map[place]
    reach = min(reach, len(similar))
    top = np.argpartition(-similar, reach - 1)[:reach]
    top = lexicon.map_words[top[np.argsort(-similar[top], kind="stable")]]
    local = [
        library.word_index[lexicon.words[w]] for w in top if lexicon.words[w] in library.word_index
    ]
    return np.array([word, *(w for w in local if w != word)])


def word_neighbourhoods(
    library: CandidateMatrix, least: int = 3, block: int = 256
) -> dict[NearWords, np.ndarray]:
    """Neighbourhoods of one word each, for every word that occurs ``least`` times: indices into ``library.words``."""
    lexicon = library.lexicon
    counts = np.bincount(library.word_of_type[library.current], minlength=len(library.words))
    ids = np.array([lexicon.word_ids[w] for w in library.words])
    place = lexicon.map_row_of_word[ids]
    local = np.full(len(lexicon.map_words), -1)
    local[place[place >= 0]] = np.flatnonzero(place >= 0)
    centres = np.flatnonzero((place >= 0) & (counts >= least))
    found: dict[NearWords, np.ndarray] = {}
    for start in range(0, len(centres), block):
        chosen = centres[start : start + block]
        similar = lexicon.map[place[chosen]] @ lexicon.map.T
        for centre, row in zip(chosen, similar, strict=True):
            furthest = min(max(REACHES), len(row))
            top = np.argpartition(-row, furthest - 1)[:furthest]
            members = local[top[np.argsort(-row[top], kind="stable")]]
            for reach in REACHES:
                inside = members[:reach]
                found[NearWords(reach, library.words[centre])] = inside[inside >= 0]
    return found


class Channel:
    """Token classes read at the position itself or at the one before it."""

    def __init__(self, library: CandidateMatrix, index: np.ndarray, before: bool) -> None:
        self.library = library
        self.index = index
        self.before = before
        self.counts = library.sums_by_fold(index, len(library.text.types))

    @cached_property
    def class_counts(self) -> np.ndarray:
        """Positions of each class by fold."""
        return self.library.class_members @ self.counts

    @cached_property
    def word_counts(self) -> np.ndarray:
        return self.sums_by_word(self.counts)

    def sums_by_word(self, by_type: np.ndarray) -> np.ndarray:
        """Sums over the types of each word: (words, folds)."""
        out = np.zeros((len(self.library.words), FOLDS))
        np.add.at(out, self.library.word_of_type, by_type)
        return out

    def residual_sums(self, residual: np.ndarray) -> np.ndarray:
        """Residual by type and fold."""
        return self.library.sums_by_fold(self.index, len(self.library.text.types), residual)

    def concept(self, inner: TokenClass) -> Concept:
        """A class as this channel reads it."""
        return After(inner) if self.before else inner


__all__ = ["FOLDS", "LEAST", "CandidateMatrix", "Channel", "Token"]
