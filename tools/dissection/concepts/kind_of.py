"""Classes of WordNet: ``kind_of("animal")``, ``kind_of("travel v")``, ``kind_of("size values")``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...lexica import ClassKey, Lexica, WordNet, class_phrase, is_nameable, parse_key
from ..text_view import TextView
from .base import Concept, family, require
from .before import After
from .lexical import LexicalClass, distinct_rows, lexica_of_readings, no_rows, readings_in
from .tagged import together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool
    from scipy.sparse import csr_matrix

    from .base import CandidateRows

MIN_LEMMAS = 5
"""Of a class that occur in a text; with fewer, their lemmas say more than the class."""
OWN_PARTS = ("np", "v", "a")
"""Parts of speech of the members of one class."""


@family("kind_of")
@dataclass(frozen=True)
class KindOf(LexicalClass):
    """A word one of whose main senses is below a sense in WordNet (``tools.lexica.wordnet``)."""

    text_bits: ClassVar[float] = 9.0  # one of some 400 that a text suggests

    written: str

    def __post_init__(self) -> None:
        require(isinstance(self.written, str), f'kind_of takes a class such as "animal": {self!r}')
        parse_key(self.written)

    def find_members(self, lexica: Lexica) -> frozenset[str] | None:
        return lexica.wordnet and lexica.wordnet.members(parse_key(self.written))

    def phrase(self) -> str:
        return class_phrase(parse_key(self.written))

    @classmethod
    def candidate_rows(
        cls, text: TextView, keep: Bool[np.ndarray, "contexts seq"], least: int
    ) -> CandidateRows:
        """Classes with enough lemmas at the kept positions, and where they hold (class x position)."""
        lexica = lexica_of_readings(text)
        wordnet = lexica and lexica.wordnet
        if wordnet is None:
            return no_rows(keep)
        found = readings_in(text)
        number = found.numbers(keep, wordnet.find)
        above = wordnet.classes(sorted(set(number.values())))
        row = {n: i for i, n in enumerate(sorted(set(number.values())))}
        keys, classes = named_classes(wordnet, above, sorted(row))
        concepts: list[Concept] = [cls(key.to_text()) for key in keys]
        row_of = {reading: row[n] for reading, n in number.items()}
        here = distinct_rows(concepts, found.rows(keep, classes, row_of), least)
        after: list[Concept] = [After(concept) for concept in concepts]
        previous = found.of_previous().rows(keep, classes, row_of)
        return together([here, distinct_rows(after, previous, least)])


def named_classes(
    wordnet: WordNet, above: csr_matrix, readings: Sequence[int]
) -> tuple[list[ClassKey], csr_matrix]:
    """The classes that a reader has a name for, the largest first, and reading x class.

    Args:
        above: reading x synset, for these readings (``WordNet.classes``).
    """
    from scipy.sparse import hstack

    parts = np.array([wordnet.readings[i][-1] for i in readings], dtype="U1")
    keys: list[ClassKey] = []
    blocks = [above[:, :0]]
    for own in OWN_PARTS:
        of_part = above.multiply(np.isin(parts, list(own))[:, None]).tocsr()
        lemmas = np.asarray(of_part.sum(axis=0)).ravel()
        synsets = [int(i) for i in np.flatnonzero(lemmas >= MIN_LEMMAS)]
        named = {i: key for i in synsets if is_nameable(key := _key(wordnet, i, own))}
        keys += named.values()
        blocks.append(of_part[:, list(named)])
    classes = hstack(blocks).tocsr()
    size = np.asarray(classes.sum(axis=0)).ravel()
    by_phrase = {class_phrase(keys[i]): int(i) for i in np.argsort(size, kind="stable")}
    order = sorted(by_phrase.values(), key=lambda i: (-size[i], i))
    return [keys[i] for i in order], classes[:, order]


def _key(wordnet: WordNet, synset: int, own: str) -> ClassKey:
    key = wordnet.key(synset)
    # Above adjectives, a noun is what they are values of.
    return key._replace(is_attribute=own == "a" and key.part != "a")
