"""The candidate concepts of one explore split, computed once and shared by all of its targets.

1. Every family gives its concepts for this text as rows of one sparse matrix, concept x position.
   Classes of tokens are read twice: at the token itself and at the one before.
2. A concept's *price* is its length in bits: of two concepts that explain as much, the one that is
   quicker to say is better.
3. The gain of every concept for a residual is one sparse product. For the best ones it is
   cross-validated: over documents, and, if a concept holds on many words, over words, so that what
   one frequent word brings does not count for a class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .concepts import FAMILIES, Concept, TokenClass
from .concepts.base import concept_bits
from .concepts.before import After, Since
from .concepts.wordclass import classes
from .concepts.words import Token, Words
from .lexicon import Lexicon
from .ridge import SHRINK, cv_gain
from .statement import word_count
from .text_view import TextView

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from scipy.sparse import csc_matrix, csr_matrix

    from .concepts.base import CandidateRows

FOLDS = 4
MIN_POSITIONS = 6
"""Fewer positions are too few to estimate a concept's weight from."""
MANY_WORDS = 8
"""A concept that holds on more words than this must do so on words that its weight never saw."""
PRICE = 2 * 2 * np.log(2)
"""Drop in squared error, in residual variances, that one bit must bring. A code of least length asks
for 2 log 2; twice that finds the same concepts on two halves of a text more often (Jaccard .29 to .31)
at the same correlation."""
WORD_BITS = 5.0
"""Price of each further word of a phrase: a sentence has room for 40."""
BEST = 300
"""Concepts whose gain is cross-validated, by their gain before."""


class ScoredConcept(NamedTuple):
    """A concept with its cross-validated gain less its price."""

    gain: float
    concept: Concept


class CandidateMatrix:
    """Candidate concepts over the tokens of one split, and where each of them holds.

    Args:
        text: the contexts to learn from.
        document: id of each context's document; folds never share one.
        keep: positions that count (real tokens but position 0).
        seed: of the folds.

    Attributes:
        concepts: of the rows; none of them names exact tokens where the text has lemmas.
        rows: concept x kept position, 1 where the concept holds.
        fold, word_fold: of each kept position, by its document and by its word.
        current: type of each kept position's token, an index into ``text.types``.
    """

    def __init__(
        self,
        text: TextView,
        document: Int[np.ndarray, "contexts"],
        keep: Bool[np.ndarray, "contexts seq"],
        seed: int = 0,
    ) -> None:
        from scipy.sparse import csr_matrix, vstack

        self.text = text
        self.keep = np.asarray(keep) & text.real
        contexts, columns = np.nonzero(self.keep)
        self.current = text.type_index[contexts, columns]
        self._previous = text.type_index[contexts, np.maximum(columns - 1, 0)]
        rng = np.random.default_rng(seed)
        self.fold = _folds(np.asarray(document)[contexts], rng)
        self.word_fold = _folds(self._word, rng)
        self._allowed: dict[Callable[[Concept], bool], np.ndarray] = {}
        self.concepts: list[Concept] = []
        blocks = [csr_matrix((0, len(self)))]
        for concepts, rows in self._families():
            enough = np.diff(rows.indptr) >= MIN_POSITIONS
            self.concepts += [c for c, many in zip(concepts, enough, strict=True) if many]
            blocks.append(rows[enough])
        self.rows = csr_matrix(vstack(blocks, format="csr", dtype=np.float64))
        self.rows.sort_indices()

    def __len__(self) -> int:
        return len(self.current)

    @property
    def lexicon(self) -> Lexicon:
        return self.text.lexicon

    @cached_property
    def _word(self) -> Int[np.ndarray, "positions"]:
        return self.lexicon.word_of_token[self.text.types][self.current]

    def _families(self) -> Iterable[CandidateRows]:  # 1.
        """The concepts and rows of each family."""
        by_previous = _incidence(self._previous, len(self.text.types))
        for family in FAMILIES.values():
            together = family.candidate_rows(self.text, self.keep, MIN_POSITIONS)
            if together is not None:
                yield together
                continue
            concepts = list(family.candidates(self.text, MIN_POSITIONS))
            of_tokens = [concept for concept in concepts if isinstance(concept, TokenClass)]
            if of_tokens:
                members = self._members(of_tokens)
                rules = [i for i, concept in enumerate(of_tokens) if not concept.names_tokens()]
                yield [of_tokens[i] for i in rules], members[rules] @ self.token_rows
                before = [i for i, c in enumerate(of_tokens) if not isinstance(c, Token)]
                yield [After(of_tokens[i]) for i in before], members[before] @ by_previous
            yield self._by_mask([c for c in concepts if not isinstance(c, TokenClass)])
        yield self._by_mask([Since(words) for words in self._topics()])
        if not any(concept.family == "lemma" for concept in self.concepts):
            # A text that cannot be tagged: a word is its bare form.
            words = [w for w in Words.candidates(self.text, MIN_POSITIONS) if isinstance(w, Words)]
            yield words, self._members(words) @ self.token_rows

    def _topics(self) -> list[Words]:
        """Frequent words that may open a topic: what follows "that" has none in common."""
        function_words = classes()["function words"]
        words = (w for w in Words.candidates(self.text, 3 * MIN_POSITIONS) if isinstance(w, Words))
        return [w for w in words if w.listed[0].isalpha() and w.listed[0] not in function_words]

    def _members(self, listed: Sequence[TokenClass]) -> csr_matrix:
        """Class x type, 1 where the type is a member."""
        types = self.text.types
        held = (np.flatnonzero(concept.holds(self.lexicon, types)) for concept in listed)
        return zero_one_matrix(held, len(types))

    def _by_mask(self, concepts: Sequence[Concept]) -> CandidateRows:
        masks = (np.flatnonzero(concept.mask(self.text)[self.keep]) for concept in concepts)
        return concepts, zero_one_matrix(masks, len(self))

    @cached_property
    def token_rows(self) -> csr_matrix:
        """Type x kept position, 1 where the position has a token of the type."""
        return _incidence(self.current, len(self.text.types))

    @cached_property
    def rows_by_position(self) -> csc_matrix:
        """The same matrix as `rows`, quick to cut down to some positions."""
        from scipy.sparse import csc_matrix

        return csc_matrix(self.rows)

    @cached_property
    def counts(self) -> Float[np.ndarray, "concepts"]:
        """Positions where each concept holds."""
        return np.diff(self.rows.indptr).astype(np.float64)

    @cached_property
    def bits(self) -> Float[np.ndarray, "concepts"]:
        """Length of each concept as a term of a formula, and what its words take from a sentence."""
        return np.array(
            [
                concept_bits(concept) + WORD_BITS * (word_count(concept.noun()) - 1)
                for concept in self.concepts
            ]
        )

    @cached_property
    def on_many_words(self) -> Bool[np.ndarray, "concepts"]:
        """Concepts that must hold also on words that their weight never saw."""
        by_word = self.rows @ _incidence(self._word, len(self.lexicon.words)).T
        return np.diff(by_word.tocsr().indptr) > MANY_WORDS

    def allowed(self, allowed: Callable[[Concept], bool]) -> Bool[np.ndarray, "concepts"]:
        """The concepts that a function allows, asked once for all targets."""
        if allowed not in self._allowed:
            held = [allowed(concept) for concept in self.concepts]
            self._allowed[allowed] = np.array(held, dtype=bool)
        return self._allowed[allowed]

    def column(self, concept: Concept) -> Float[np.ndarray, "positions"]:
        """1 where a concept holds, else 0, over kept positions."""
        return concept.mask(self.text)[self.keep].astype(np.float64)

    def best(
        self, residual: Float[np.ndarray, "positions"], allowed: Bool[np.ndarray, "concepts"]
    ) -> list[ScoredConcept]:
        """The concepts that are worth their price, largest gain first."""
        price = PRICE * float(residual @ residual) / len(residual) * self.bits  # 2.
        in_sample = (self.rows @ residual) ** 2 / (self.counts + SHRINK) - price
        first = np.argsort(-np.where(allowed, in_sample, -np.inf), kind="stable")[:BEST]
        first = first[(in_sample[first] > 0) & allowed[first]]
        rows = self.rows[first]
        over_documents = cv_gain(*sums_by_fold(rows, residual, self.fold))  # 3.
        over_words = cv_gain(*sums_by_fold(rows, residual, self.word_fold))
        is_class = self.on_many_words[first]
        gains = np.where(is_class, np.minimum(over_documents, over_words), over_documents)
        gains -= price[first]
        order = np.argsort(-gains, kind="stable")
        return [
            ScoredConcept(float(gains[i]), self.concepts[first[i]]) for i in order if gains[i] > 0
        ]


def _folds(group: Int[np.ndarray, "positions"], rng: np.random.Generator) -> Int[np.ndarray, "p"]:
    """A fold for each position; positions of one group share it."""
    groups, index = np.unique(group, return_inverse=True)
    return (rng.permutation(len(groups)) % FOLDS)[index]


def sums_by_fold(
    rows: csr_matrix,
    values: Float[np.ndarray, "positions"],
    fold: Int[np.ndarray, "positions"],
) -> tuple[Float[np.ndarray, "concepts folds"], Float[np.ndarray, "concepts folds"]]:
    """Sums of the values where each concept holds, and how many there are, by fold."""
    is_fold = np.eye(FOLDS)[fold]
    return rows @ (values[:, None] * is_fold), rows @ is_fold


def _incidence(index: Int[np.ndarray, "positions"], size: int) -> csr_matrix:
    """Index x position, 1 where a position has that index."""
    from scipy.sparse import csr_matrix

    positions = np.arange(len(index))
    return csr_matrix((np.ones(len(index)), (index, positions)), shape=(size, len(index)))


def zero_one_matrix(rows: Iterable[Int[np.ndarray, "ones"]], n_columns: int) -> csr_matrix:
    """A sparse matrix from the columns of each row's ones, in ascending order."""
    from scipy.sparse import csr_matrix

    columns = [row.astype(np.int32) for row in rows]
    ends = np.cumsum([0, *map(len, columns)])
    ones = np.ones(ends[-1])
    indices = np.concatenate([*columns, np.zeros(0, np.int32)])
    return csr_matrix((ones, indices, ends), shape=(len(columns), n_columns))
