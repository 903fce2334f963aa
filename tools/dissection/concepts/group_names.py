"""Names groups of words after the class that their members share.

1. The words of a text that are no function words are looked up in every class that a reader has a
   name for: those of ``classes.txt`` and WordNet's. Without a sentence, a word has its most used
   reading.
2. A class names a group if it has at least MIN_SHARE of the group's words that occur in the text,
   MIN_SHARED of them, and MIN_LIFT times the share that it has of all words.
3. Of several, the one whose share is the most surprising (the largest likelihood ratio), which is
   specific and covers much.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...lexica import WordNet, possible_readings
from ..lexicon import Lexicon
from .base import Concept
from .kind_of import KindOf, named_classes
from .wordclass import WordClass, classes

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from scipy.sparse import csr_matrix

MIN_SHARE = 0.6
MIN_SHARED = 3
MIN_LIFT = 4.0
MAX_BASE = 0.025
"""Of all words, in a class that names groups: *manufactured things* says little of four words."""
BROAD = (KindOf("person"),)
"""Classes that say something although they are larger."""


class NamedClasses(NamedTuple):
    """Which words are in which class.

    Attributes:
        words: indices into ``Lexicon.words``.
        members: word x class, 1 for its members.
    """

    words: Int[np.ndarray, "words"]
    concepts: list[Concept]
    members: csr_matrix

    def names(self, groups: csr_matrix) -> list[Concept | None]:
        """The class that names each group, or None.

        Args:
            groups: group x word, 1 for its words.
        """
        from scipy.sparse import csr_matrix

        size = np.asarray(groups.sum(axis=1)).ravel()
        base = np.asarray(self.members.sum(axis=0)).ravel() / max(len(self.words), 1)
        shared = csr_matrix(groups @ self.members)
        shared.sort_indices()  # of two that are equal here, the first: fixed classes, narrow ones
        group = np.repeat(np.arange(len(size)), np.diff(shared.indptr))
        share = shared.data / size[group]
        expected = base[shared.indices]
        names = (share >= MIN_SHARE) & (shared.data >= MIN_SHARED) & (share >= MIN_LIFT * expected)
        broad = [i for i, concept in enumerate(self.concepts) if concept in BROAD]
        names &= (expected <= MAX_BASE) | np.isin(shared.indices, broad)
        score = np.where(names, _surprise(share, expected), -1.0)
        named: list[Concept | None] = []
        for start, end in zip(shared.indptr, shared.indptr[1:], strict=False):
            best = start + int(score[start:end].argmax()) if end > start else -1
            is_named = best >= 0 and score[best] > 0
            named.append(self.concepts[shared.indices[best]] if is_named else None)
        return named


def _surprise(
    share: Float[np.ndarray, "n"], base: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
    """Log likelihood ratio of a share against the class's share of all words, for each word."""
    rest, base_rest = 1 - share, np.maximum(1 - base, 1e-9)
    return share * np.log(share / base) + rest * np.log(np.maximum(rest, 1e-9) / base_rest)


def named_classes_of(
    lexicon: Lexicon, words: Int[np.ndarray, "words"], wordnet: WordNet | None
) -> NamedClasses:
    """The classes that some words are in."""
    from scipy.sparse import csr_matrix, hstack

    strings = [lexicon.words[i] for i in words]
    fixed = {name: listed for name, listed in classes().items() if name != "function words"}
    columns = [np.array([s in listed for s in strings]) for listed in fixed.values()]
    concepts: list[Concept] = [WordClass(name) for name in fixed]
    blocks = [csr_matrix(np.stack(columns, axis=1), dtype=np.float64)]
    if wordnet is not None:
        of_word = [_main_reading(lexicon, word, wordnet) for word in words.tolist()]
        known = sorted({number for number in of_word if number >= 0})
        keys, members = named_classes(wordnet, wordnet.classes(known), known)
        row = {number: i for i, number in enumerate(known)}
        pairs = [(i, row[number]) for i, number in enumerate(of_word) if number >= 0]
        word, reading = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        shape = (len(words), len(known))
        blocks.append(csr_matrix((np.ones(len(word)), (word, reading)), shape=shape) @ members)
        concepts += [KindOf(key.to_text()) for key in keys]
    return NamedClasses(words, concepts, csr_matrix(hstack(blocks, format="csr")))


def _main_reading(lexicon: Lexicon, word: int, wordnet: WordNet) -> int:
    """The number of the most used reading of a word as it is mostly spelled, or -1."""
    readings = possible_readings(lexicon.bare[lexicon.token_of_word[word]])
    known = [number for number in map(wordnet.find, readings) if number >= 0]
    return max(known, key=lambda number: int(wordnet.uses[number]), default=-1)


def groups_of_words(groups: Sequence[Int[np.ndarray, "members"]], n_words: int) -> csr_matrix:
    """Group x word, 1 for its words."""
    from scipy.sparse import csr_matrix

    ends = np.cumsum([0, *map(len, groups)])
    indices = np.concatenate([*groups, np.zeros(0)]).astype(np.int64)
    return csr_matrix((np.ones(len(indices)), indices, ends), shape=(len(groups), n_words))
