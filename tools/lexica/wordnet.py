"""WordNet as classes of words, and as families of words that are derived from each other.

1. A *reading* is a lemma in one part of speech: ``dog n``, ``turkey p`` (the name). Its *main
   senses* are the most frequent one and those that make up at least MAIN_SHARE of its uses in
   tagged text. A reading that is a rare use of its lemma has none.
2. A class is a synset with all that is below it. A reading is a member if one of its main senses
   is: *dog* is an animal, *Monday* a day of the week, *Sydney* a city (instances count, but for
   single persons: what a surname may also stand for says nothing about the word).
3. A family is what links of derivation connect, as long as the two words begin alike.

A noun that WordNet has only with a capital, or only without, is looked up in the other spelling too:
``monday n``, ``minister p``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UsageError
from .class_key import NAME, NOUN, ClassKey
from .wordnet_files import WordNetTables

if TYPE_CHECKING:
    from jaxtyping import Bool, Int
    from scipy.sparse import csr_matrix

MAIN_SHARE = 0.25
"""With a tenth, *man* is a piece of a game; with a half, *bank* only a slope."""
RARE_SHARE = 0.05
"""Of a lemma's tagged uses; below it is *can* that is put into tins."""
SHORTEST_STEM = 3
"""Letters with which two words of a family begin: *buy* and *purchase* are linked, too."""
PERSONS = (ClassKey("person"), ClassKey("spiritual being"))
"""Single ones are known by surnames and first names."""


class WordNet:
    """The readings, their classes and families.

    Args:
        tables: the parsed database (``wordnet_files``).
    """

    def __init__(self, tables: WordNetTables) -> None:
        self.tables = tables
        self.readings = tables.readings

    @cached_property
    def _number(self) -> dict[str, int]:
        return {reading: i for i, reading in enumerate(self.readings)}

    def find(self, reading: str) -> int:
        """Index of a reading, or of the same noun in the other spelling; -1 if there is none."""
        found = self._number.get(reading)
        if found is None:
            found = self._number.get(_other_spelling(reading))
        return -1 if found is None else found

    @cached_property
    def uses(self) -> Int[np.ndarray, "readings"]:
        """How often each reading was found in tagged text."""
        before = np.concatenate([[0], np.cumsum(self.tables.sense_count)])
        start = self.tables.sense_start
        return before[start[1:]] - before[start[:-1]]

    @cached_property
    def is_common(self) -> Bool[np.ndarray, "readings"]:
        """Readings that are not a rare use of their lemma."""
        lemmas = [reading[:-2] for reading in self.readings]
        number = {lemma: i for i, lemma in enumerate(dict.fromkeys(lemmas))}
        of_reading = np.array([number[lemma] for lemma in lemmas], dtype=np.int64)
        total = np.bincount(of_reading, weights=self.uses)[of_reading]
        is_name = np.array([reading.endswith(NAME) for reading in self.readings])
        return (self.uses >= RARE_SHARE * total) | is_name

    @cached_property
    def main_senses(self) -> csr_matrix:
        """Reading x synset, 1 for its main senses."""
        t = self.tables
        of_sense = np.repeat(np.arange(len(self.readings)), np.diff(t.sense_start))
        main = t.sense_count >= MAIN_SHARE * np.maximum(self.uses, 1)[of_sense]
        main[t.sense_start[:-1]] = True
        main &= self.is_common[of_sense]
        single = np.zeros(len(t.synset_name), dtype=bool)
        single[reachable(self._down, [self.synset(key) for key in PERSONS if self.has(key)])] = True
        main &= ~(single & t.is_instance)[t.sense_synset]
        return _ones(of_sense[main], t.sense_synset[main], len(self.readings), len(single))

    @cached_property
    def _up(self) -> csr_matrix:
        """Synset x synset, 1 where the second is right above the first."""
        n = len(self.tables.synset_name)
        below = np.repeat(np.arange(n), np.diff(self.tables.up_start))
        return _ones(below, self.tables.up, n, n)

    @cached_property
    def _down(self) -> csr_matrix:
        return self._up.T.tocsr()

    @cached_property
    def _readings_of_synset(self) -> csr_matrix:
        return self.main_senses.T.tocsr()

    def has(self, key: ClassKey) -> bool:
        """Whether there is such a class."""
        reading = self._number.get(f"{key.lemma} {key.part}")
        start = self.tables.sense_start
        return reading is not None and key.number <= start[reading + 1] - start[reading]

    def synset(self, key: ClassKey) -> int:
        """The synset that a class is named after; raises UsageError for an unknown one."""
        if not self.has(key):
            raise UsageError(f"WordNet has no class {key.to_text()!r}")
        start = self.tables.sense_start[self._number[f"{key.lemma} {key.part}"]]
        return int(self.tables.sense_synset[start + key.number - 1])

    def key(self, synset: int) -> ClassKey:
        """The class of a synset: its first word, and which of that word's senses it is."""
        t = self.tables
        name, part = t.synset_name[synset], t.synset_part[synset]
        if part == NOUN and name != name.lower():
            part = NAME
        lemma = name.lower()
        reading = self._number[f"{lemma} {part}"]
        senses = t.sense_synset[t.sense_start[reading] : t.sense_start[reading + 1]]
        return ClassKey(lemma, part, int(np.flatnonzero(senses == synset)[0]) + 1)

    def members(self, key: ClassKey) -> frozenset[str]:
        """All readings that are members of a class."""
        below = reachable(self._down, [self.synset(key)])
        found = np.unique(self._readings_of_synset[below].indices)
        readings = [self.readings[i] for i in found]
        parts = (NOUN, NAME) if key.members_part in (NOUN, NAME) else (key.members_part,)
        return frozenset(self.with_spellings(r for r in readings if r.endswith(parts)))

    def with_spellings(self, readings: Iterable[str]) -> Iterable[str]:
        """Readings, and those that ``find`` takes for them."""
        for reading in readings:
            yield reading
            other = _other_spelling(reading)
            if other != reading and other not in self._number:
                yield other

    def classes(self, readings: Sequence[int]) -> csr_matrix:
        """Given reading x synset, 1 where the synset is one of its main senses or above one."""
        level = closure = self.main_senses[np.asarray(readings, dtype=np.int64)]
        while level.nnz:
            level = (level @ self._up).astype(bool).astype(np.int8)
            level = level - level.multiply(closure)  # only what is new, so that a loop would end
            level.eliminate_zeros()
            closure = closure + level
        return closure.tocsr()

    @cached_property
    def family_of(self) -> dict[str, str]:
        """The name of the family of each reading that has relatives: its most used lemma."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        pairs = [pair for pair in self.tables.related.tolist() if self._is_alike(*pair)]
        first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        n = len(self.readings)
        graph = coo_matrix((np.ones(len(first)), (first, second)), shape=(n, n))
        group = connected_components(graph, directed=False)[1]
        members = sorted({*first.tolist(), *second.tolist()})
        uses: dict[str, int] = {}
        for i in members:
            lemma = self.readings[i][:-2]
            uses[lemma] = uses.get(lemma, 0) + int(self.uses[i])
        name: dict[int, str] = {}
        for i in sorted(members, key=lambda i: (-uses[self.readings[i][:-2]], self.readings[i])):
            name.setdefault(int(group[i]), self.readings[i][:-2])
        return {self.readings[i]: name[int(group[i])] for i in members}

    def family(self, lemma: str) -> frozenset[str]:
        """The readings of a family; raises UsageError if none is called that."""
        members = self._families.get(lemma)
        if members is None:
            raise UsageError(f"WordNet has no family of words called {lemma!r}")
        return frozenset(self.with_spellings(members))

    @cached_property
    def _families(self) -> dict[str, list[str]]:
        families: dict[str, list[str]] = {}
        for reading, name in self.family_of.items():
            families.setdefault(name, []).append(reading)
        return families

    def _is_alike(self, first: int, second: int) -> bool:
        one, other = self.readings[first][:-2], self.readings[second][:-2]
        shorter = min(len(one), len(other))
        shared = next((i for i in range(shorter) if one[i] != other[i]), shorter)
        return shared >= max(SHORTEST_STEM, shorter / 2) and " " not in one + other


def reachable(links: csr_matrix, starts: Iterable[int]) -> list[int]:
    """All rows that links lead to, with the starts."""
    found = set(starts)
    waiting = list(found)
    while waiting:
        row = waiting.pop()
        others = links.indices[links.indptr[row] : links.indptr[row + 1]].tolist()
        waiting.extend(set(others) - found)
        found.update(others)
    return sorted(found)


def _other_spelling(reading: str) -> str:
    """The noun as a name, and the name as a noun; other parts of speech as they are."""
    lemma, _, part = reading.rpartition(" ")
    return f"{lemma} { {NOUN: NAME, NAME: NOUN}.get(part, part) }"


def _ones(rows: np.ndarray, columns: np.ndarray, n_rows: int, n_columns: int) -> csr_matrix:
    from scipy.sparse import csr_matrix

    matrix = csr_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(n_rows, n_columns))
    matrix.data[:] = 1  # a pair that occurs twice
    return matrix
