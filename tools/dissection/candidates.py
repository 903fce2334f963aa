"""The candidate concepts of one explore split, computed once and shared by all of its targets.

1. Every family proposes candidates for the vocabulary that occurs in the text.
2. Classes of tokens become a sparse (class x type) matrix, read through two *channels*: the token
   itself, the token before it. Other concepts become a sparse (concept x position) matrix.
3. With residuals summed by token type and fold, the gain of every class through a channel is one
   sparse product.

The matrices are in double precision like the residuals: scipy would convert them at each product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .concepts import FAMILIES, Concept, TokenClass
from .concepts.before import After, Since
from .concepts.near import REACHES, NearWords
from .concepts.words import Words
from .lexicon import Lexicon
from .text_view import TextView

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from scipy.sparse import csr_matrix

FOLDS = 4
NEAREST_WORDS = 120
"""Of some 30,000 words; with 300, lists lose their meaning (+.012 r at layer 1, nothing elsewhere)."""
MIN_POSITIONS = 6
"""Fewer positions are too few to estimate a concept's weight from."""
MIN_CENTRE_COUNT = 3
"""Occurrences of a word that is the centre of a neighbourhood."""
CENTRES_AT_ONCE = 256
ROUNDING = 2e-6
"""Cosines that are nearer than this may come in another order if they are computed in another way;
of 1.8 million, the largest difference was 7e-7."""


class CandidateSubset(NamedTuple):
    """The candidates that a restricted search may use.

    Attributes:
        rows: indices of its classes; `members` has their rows of `class_members`.
        others: which of the position concepts it may use.
    """

    rows: Int[np.ndarray, "classes"]
    members: csr_matrix
    others: Bool[np.ndarray, "concepts"]
    channels: list[Channel]


class CandidateMatrix:
    """Candidate concepts over the tokens of one split, and where each of them holds.

    Args:
        text: the contexts to learn from.
        document: id of each context's document; folds never share one.
        keep: positions that count (real tokens but position 0).

    Attributes:
        classes: concepts that a position's own token decides; `position_concepts`: the others.
        current, previous: type of each kept position's token, and of the token before it.
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
        documents, document_index = np.unique(np.asarray(document)[rows], return_inverse=True)
        fold_of_document = np.random.default_rng(seed).permutation(len(documents)) % FOLDS
        self.fold = fold_of_document[document_index]
        self.current = text.type_index[rows, columns]
        self.previous = text.type_index[rows, np.maximum(columns - 1, 0)]
        self.classes: list[TokenClass] = []
        self.position_concepts: list[Concept] = []
        for cls in FAMILIES.values():
            for concept in cls.candidates(text, MIN_POSITIONS):
                if isinstance(concept, TokenClass):
                    self.classes.append(concept)
                else:
                    self.position_concepts.append(concept)
        openers = Words.candidates(text, 3 * MIN_POSITIONS)
        self.position_concepts.extend(Since(words) for words in openers)
        self._nearest: dict[int, np.ndarray] = {}
        self._subsets: dict[Callable[[Concept], bool], CandidateSubset] = {}
        self._neighbourhoods: dict[NearWords, np.ndarray] = {}
        if self.lexicon.vectors is not None:
            for near in word_neighbourhoods(self):
                self._neighbourhoods[near.concept] = near.here
                if near.is_sure:
                    # What a single product would find, which takes a hundred times as long.
                    near.concept.remember_members(self.lexicon, near.rows)
                    if near.concept.reach == NEAREST_WORDS:
                        self._nearest[near.centre] = _centre_first(near.centre, near.here)
        self.classes.extend(self._neighbourhoods)

    def __len__(self) -> int:
        return len(self.fold)

    @property
    def lexicon(self) -> Lexicon:
        return self.text.lexicon

    @cached_property
    def class_members(self) -> csr_matrix:
        """Class x type, 1 where the type is a member."""
        rows = (np.flatnonzero(self._holds(concept)) for concept in self.classes)
        return _zero_one_matrix(rows, len(self.text.types))

    def _holds(self, concept: TokenClass) -> Bool[np.ndarray, "types"]:
        if isinstance(concept, NearWords) and concept in self._neighbourhoods:
            near = np.zeros(len(self.words), dtype=bool)
            near[self._neighbourhoods[concept]] = True
            return near[self.word_of_type]
        return concept.holds(self.lexicon, self.text.types)

    @cached_property
    def position_members(self) -> csr_matrix:
        """Position concept x kept position, 1 where the concept holds."""
        masks = (concept.mask(self.text)[self.keep] for concept in self.position_concepts)
        return _zero_one_matrix(map(np.flatnonzero, masks), len(self))

    @cached_property
    def _members_by_fold(self) -> list[csr_matrix]:
        """The columns of `position_members` at the positions of each fold."""
        members = self.position_members
        return [members[:, np.flatnonzero(self.fold == fold)] for fold in range(FOLDS)]

    def subset(self, allowed: Callable[[Concept], bool]) -> CandidateSubset:
        """The candidates that a function allows, sorted out once for all targets."""
        if allowed not in self._subsets:
            rows = np.flatnonzero([allowed(concept) for concept in self.classes])
            every = len(rows) == len(self.classes)
            channels = [
                channel
                for channel in self.channels
                if any(allowed(channel.concept(self.classes[row])) for row in rows)
            ]
            others = np.array([allowed(concept) for concept in self.position_concepts], dtype=bool)
            members = self.class_members if every else self.class_members[rows]
            self._subsets[allowed] = CandidateSubset(rows, members, others, channels)
        return self._subsets[allowed]

    def column(self, concept: Concept) -> Float[np.ndarray, "positions"]:
        """1 where a concept holds, else 0, over kept positions."""
        return concept.mask(self.text)[self.keep].astype(np.float64)

    @cached_property
    def channels(self) -> list[Channel]:
        """The token itself, and the token right before."""
        return [
            Channel(self, self.current, before=False),
            Channel(self, self.previous, before=True),
        ]

    def sums_by_fold(
        self,
        index: Int[np.ndarray, "positions"],
        size: int,
        values: Float[np.ndarray, "positions"] | None = None,
    ) -> Float[np.ndarray, "size folds"]:
        """Sums of values (by default counts) by index and fold."""
        flat = index * FOLDS + self.fold
        return np.bincount(flat, values, minlength=size * FOLDS).reshape(size, FOLDS)

    def position_sums(
        self, values: Float[np.ndarray, "positions"]
    ) -> Float[np.ndarray, "concepts folds"]:
        """Sums of values by fold, over the positions where each position concept holds."""
        by_fold = enumerate(self._members_by_fold)
        return np.stack([members @ values[self.fold == fold] for fold, members in by_fold], axis=1)

    @cached_property
    def position_counts(self) -> Float[np.ndarray, "concepts folds"]:
        """Positions where each position concept holds, by fold."""
        return self.position_sums(np.ones(len(self), np.float32))

    @cached_property
    def words(self) -> list[str]:
        """The distinct words of this text, in the order of ``word_of_type``."""
        indices = np.unique(self.lexicon.word_of_token[self.text.types])
        return [self.lexicon.words[i] for i in indices]

    @cached_property
    def word_of_type(self) -> Int[np.ndarray, "types"]:
        """Index of each type's word among the words of this text."""
        return np.unique(self.lexicon.word_of_token[self.text.types], return_inverse=True)[1]

    @cached_property
    def word_index(self) -> dict[str, int]:
        """Index of each word in ``words``."""
        return {word: i for i, word in enumerate(self.words)}

    def nearest_words(self, word: int) -> Int[np.ndarray, "near"]:
        """The word itself, then those of its NEAREST_WORDS that occur here, nearest first."""
        if word not in self._nearest:
            self._nearest[word] = _nearest_words(self, word)
        return self._nearest[word]


def _zero_one_matrix(rows: Iterable[Int[np.ndarray, "ones"]], n_columns: int) -> csr_matrix:
    """A sparse matrix from the columns of each row's ones, in ascending order."""
    from scipy.sparse import csr_matrix

    columns = [row.astype(np.int32) for row in rows]
    ends = np.cumsum([0, *map(len, columns)])
    ones = np.ones(ends[-1])
    indices = np.concatenate([*columns, np.zeros(0, np.int32)])
    return csr_matrix((ones, indices, ends), shape=(len(columns), n_columns))


def _nearest_words(candidates: CandidateMatrix, word: int) -> Int[np.ndarray, "near"]:
    lexicon = candidates.lexicon
    row = lexicon.map_row_of_word[lexicon.word_ids[candidates.words[word]]]
    if row < 0:
        return np.array([word])
    similarity = lexicon.map @ lexicon.map[row]
    nearest = lexicon.map_words[_largest(similarity, NEAREST_WORDS)]
    strings = [lexicon.words[i] for i in nearest]
    here = [candidates.word_index[s] for s in strings if s in candidates.word_index]
    return _centre_first(word, np.array(here, dtype=np.int64))


def _centre_first(centre: int, near: Int[np.ndarray, "near"]) -> Int[np.ndarray, "near"]:
    return np.concatenate([[centre], near[near != centre]])


class Neighbourhood(NamedTuple):
    """The words nearest to one word of this text.

    Attributes:
        centre: the word's index in ``CandidateMatrix.words``; `here` has those of the near words that
            this text has, and `rows` the rows of all in ``Lexicon.map``, nearest first.
        is_sure: whether their order does not hang on rounding, which depends on how many words are
            compared in one product.
    """

    concept: NearWords
    centre: int
    here: Int[np.ndarray, "near"]
    rows: Int[np.ndarray, "reach"]
    is_sure: bool


def word_neighbourhoods(candidates: CandidateMatrix) -> Iterator[Neighbourhood]:
    """Neighbourhoods of single words of this text, of every reach."""
    lexicon = candidates.lexicon
    words = candidates.words
    counts = np.bincount(candidates.word_of_type[candidates.current], minlength=len(words))
    rows = lexicon.map_row_of_word[[lexicon.word_ids[word] for word in words]]
    word_of_row = np.full(len(lexicon.map_words), -1)
    word_of_row[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
    centres = np.flatnonzero((rows >= 0) & (counts >= MIN_CENTRE_COUNT))
    for start in range(0, len(centres), CENTRES_AT_ONCE):
        block = centres[start : start + CENTRES_AT_ONCE]
        similarities = lexicon.map[rows[block]] @ lexicon.map.T
        for centre, similarity in zip(block, similarities, strict=True):
            nearest = _largest(similarity, max(REACHES) + 1)
            is_tie = -np.diff(similarity[nearest]) < ROUNDING
            n_sure = int(is_tie.argmax()) if is_tie.any() else len(is_tie)
            for reach in REACHES:
                near_rows = nearest[:reach]
                inside = word_of_row[near_rows]
                yield Neighbourhood(
                    NearWords(reach, words[centre]),
                    int(centre),
                    inside[inside >= 0],
                    near_rows,
                    is_sure=n_sure >= reach,
                )


def _largest(values: Float[np.ndarray, "n"], k: int) -> Int[np.ndarray, "k"]:
    """Indices of the k largest values, largest first."""
    k = min(k, len(values))
    top = np.argpartition(-values, k - 1)[:k]
    return top[np.argsort(-values[top], kind="stable")]


class Channel:
    """Token classes read at the position itself or at the one before it."""

    def __init__(
        self, candidates: CandidateMatrix, index: Int[np.ndarray, "positions"], before: bool
    ) -> None:
        self._candidates = candidates
        self._index = index
        self._before = before

    def concept(self, inner: TokenClass) -> Concept:
        """A class as this channel reads it."""
        return After(inner) if self._before else inner

    def sums_by_type(
        self, values: Float[np.ndarray, "positions"] | None = None
    ) -> Float[np.ndarray, "types folds"]:
        """Sums of values (by default counts) by the type that is read, and fold."""
        n_types = len(self._candidates.text.types)
        return self._candidates.sums_by_fold(self._index, n_types, values)

    def sums_by_word(
        self, by_type: Float[np.ndarray, "types folds"]
    ) -> Float[np.ndarray, "words folds"]:
        """Sums over the types of each word."""
        by_word = np.zeros((len(self._candidates.words), FOLDS))
        np.add.at(by_word, self._candidates.word_of_type, by_type)
        return by_word

    @cached_property
    def class_counts(self) -> Float[np.ndarray, "classes folds"]:
        """Positions of each class by fold."""
        return self._candidates.class_members @ self.sums_by_type()

    @cached_property
    def word_counts(self) -> Float[np.ndarray, "words folds"]:
        """Positions of each word by fold."""
        return self.sums_by_word(self.sums_by_type())
