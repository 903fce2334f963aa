"""The readings of a text's words (``dog n``), by which the classes of a lexicon know them.

1. With a tagger, a position has the lemma and part of speech of its word. A surname or first name
   has none: what else it may stand for says nothing.
2. Without one, it has all readings that its own token may have, but none if that is a function
   word: *in* is also indium, *us* the plural of u.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..lexica import possible_readings
from .lexicon import Lexicon
from .text_view import TextView

if TYPE_CHECKING:
    from jaxtyping import Bool, Int
    from scipy.sparse import csr_matrix

PARTS = {
    "noun": "n",
    "proper noun": "p",
    "verb": "v",
    "auxiliary verb": "v",
    "adjective": "a",
    "adverb": "r",
}
"""Part of a reading by the tagger's name of a part of speech."""
LAYERS = ("lemma", "pos", "entity")
"""Of the annotations, from which readings follow."""


class TextReadings(NamedTuple):
    """What may be at each position.

    Attributes:
        item: index into `readings` of each position, -1 where it has none.
        readings: of each item, those that it may have.
    """

    item: Int[np.ndarray, "contexts seq"]
    readings: Sequence[tuple[str, ...]]

    def mask(self, members: Collection[str]) -> Bool[np.ndarray, "contexts seq"]:
        """Where one of the readings is a member."""
        holds = [any(reading in members for reading in item) for item in self.readings]
        return np.append(np.array(holds, dtype=bool), False)[self.item]

    def of_previous(self) -> TextReadings:
        """The readings of the token before each position."""
        item = np.full_like(self.item, -1)
        item[:, 1:] = self.item[:, :-1]
        return self._replace(item=item)

    def numbers(
        self, keep: Bool[np.ndarray, "contexts seq"], find: Callable[[str], int]
    ) -> dict[str, int]:
        """The number in a lexicon of each reading of the kept positions that it has.

        Args:
            find: a reading's number, or -1.
        """
        here = np.unique(self.item[keep])
        readings = chain.from_iterable(self.readings[i] for i in here[here >= 0])
        numbers = {reading: find(reading) for reading in dict.fromkeys(readings)}
        return {reading: number for reading, number in numbers.items() if number >= 0}

    def rows(
        self,
        keep: Bool[np.ndarray, "contexts seq"],
        classes: csr_matrix,
        numbers: Mapping[str, int],
    ) -> csr_matrix:
        """Class x kept position, 1 where one of the readings is in the class.

        Args:
            classes: reading x class; `numbers` has each reading's row.
        """
        from scipy.sparse import csr_matrix

        pairs = [
            (item, numbers[reading])
            for item, readings in enumerate(self.readings)
            for reading in readings
            if reading in numbers
        ]
        item, reading = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        n_items = len(self.readings) + 1  # the last one is for positions without
        shape = (n_items, classes.get_shape()[0])
        may_be = csr_matrix((np.ones(len(item)), (item, reading)), shape=shape)
        of_items = csr_matrix(may_be @ classes)
        of_items.data[:] = 1.0
        return csr_matrix(of_items[self.item[keep]].T)


def text_readings(text: TextView, stop: Collection[str]) -> TextReadings:
    """The readings of a text's positions, found once.

    Args:
        stop: function words, which have no readings where no tagger tells them apart.
    """
    if text.lexicon.annotator is None:
        return text.memo("readings", lambda: _untagged(text, stop))
    return text.memo("readings", lambda: _tagged(text))


def _tagged(text: TextView) -> TextReadings:
    annotations = text.annotations
    lemma, pos, entity = (annotations.of_words(name) for name in LAYERS)
    letter = [PARTS.get(name, "") for name in pos.values] + [""]
    is_person = np.array([*(name == "person" for name in entity.values), False])
    # One code for each pair of lemma and part of speech.
    code = np.where(
        (lemma.codes >= 0) & np.array([bool(part) for part in letter])[pos.codes],
        lemma.codes * len(letter) + pos.codes,
        -1,
    )
    code[is_person[entity.codes] & np.array([part == "p" for part in letter])[pos.codes]] = -1
    pairs, of_word = np.unique(np.append(code, -1), return_inverse=True)
    readings = [(f"{lemma.values[p // len(letter)]} {letter[p % len(letter)]}",) for p in pairs[1:]]
    item = np.append(of_word[:-1] - 1, -1)[annotations.word]
    return TextReadings(item, readings)


def readings_of_tokens(
    lexicon: Lexicon, tokens: Int[np.ndarray, " k"], stop: Collection[str]
) -> list[tuple[str, ...]]:
    """The readings that the words of some tokens may have; none for pieces of words."""
    readings: list[tuple[str, ...]] = []
    for token in tokens.tolist():
        is_word = lexicon.spaced[token] and lexicon.lettered[token]
        bare = lexicon.bare[token]
        readings.append(possible_readings(bare) if is_word and bare.lower() not in stop else ())
    return readings


def _untagged(text: TextView, stop: Collection[str]) -> TextReadings:
    readings = readings_of_tokens(text.lexicon, text.types, stop)
    return TextReadings(np.where(text.real, text.type_index, -1), readings)
