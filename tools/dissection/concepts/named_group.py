"""What groups of words in the embedding have in common: the candidates are those that have a name.

1. Groups of the words of a text are named after the class that their members share (``group_names``).
2. Without a name, or on more than MAX_SHARE of all tokens, a group is no candidate: nobody could say
   what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..text_view import TextView
from .base import Concept
from .group_names import NamedClasses, groups_of_words, named_classes_of
from .lexical import distinct_rows, lexica_for
from .wordclass import content_words
from .words import quoted

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

    from .base import CandidateRows

MAX_SHARE = 0.02
FEWEST_HERE = 4
"""Words of a group that occur in the text."""
SHOWN = 3
"""Words that a cluster's phrase shows, the most frequent ones."""


class TextWords(NamedTuple):
    """The content words of a text.

    Attributes:
        words: indices into ``Lexicon.words``; `counts`: at how many kept positions each is.
        row: of each word of the lexicon its index here, or -1.
        at: of each kept position the index here of its word, or -1.
        classes: the classes that they are in.
    """

    words: Int[np.ndarray, "words"]
    counts: Int[np.ndarray, "words"]
    row: Int[np.ndarray, "lexicon_words"]
    at: Int[np.ndarray, "positions"]
    classes: NamedClasses


def text_words(text: TextView, keep: Bool[np.ndarray, "contexts seq"]) -> TextWords | None:
    """The content words of a text's kept positions; None where no lexicon knows their classes."""

    def find() -> TextWords:
        lexicon = text.lexicon
        at = lexicon.word_of_token[text.tokens[keep]]
        counts = np.bincount(at, minlength=len(lexicon.words))
        words = np.flatnonzero((counts > 0) & content_words(lexicon))
        row = np.full(len(lexicon.words), -1, dtype=np.int64)
        row[words] = np.arange(len(words))
        wordnet = lexica.wordnet if lexica else None
        classes = named_classes_of(lexicon, words, wordnet)
        return TextWords(words, counts[words], row, row[at], classes)

    lexica = lexica_for(text)
    if lexica is None or lexica.wordnet is None:
        return None
    return text.memo(("text words", keep.tobytes()), find)


def named_groups(
    here: TextWords,
    groups: Sequence[Int[np.ndarray, "members"]],
    make: Callable[[int, Concept], Concept],
    least: int,
) -> CandidateRows:
    """The groups that have a name, and where they hold (group x position).

    Args:
        groups: of each, its words as indices into ``here.words``.
        make: the concept of a group, by its number and the class that names it.
    """
    from scipy.sparse import csc_matrix, csr_matrix, hstack

    members = groups_of_words(groups, len(here.words))
    holds = members @ here.counts
    names = here.classes.names(members)
    kept = [
        i
        for i, name in enumerate(names)
        if name is not None
        and len(groups[i]) >= FEWEST_HERE
        and least <= holds[i] <= MAX_SHARE * len(here.at)
    ]
    concepts = [make(i, name) for i in kept if (name := names[i]) is not None]
    no_word = csr_matrix((len(kept), 1))  # column -1
    by_word = csc_matrix(hstack([members[kept], no_word]))
    return distinct_rows(concepts, csr_matrix(by_word[:, here.at]), least)


def frequent_first(
    here: TextWords, group: Int[np.ndarray, "members"]
) -> Int[np.ndarray, "members"]:
    """A group's words, the most frequent ones of the text first."""
    return group[np.argsort(-here.counts[group], kind="stable")]


def group_phrase(examples: Sequence[str], name: Concept | None) -> str:
    """``kinds of weather like "rain" and "snow"``."""
    shown = [quoted(word) for word in examples]
    listed = " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
    return f"{name.phrase() if name else 'words'} like {listed}"


def split_name(arguments: Sequence[object]) -> tuple[tuple[object, ...], Concept | None]:
    """Arguments without the concept at their end that names the group, and that concept."""
    if arguments and isinstance(arguments[-1], Concept):
        return tuple(arguments[:-1]), arguments[-1]
    return tuple(arguments), None
