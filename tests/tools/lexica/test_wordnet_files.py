"""The parser, on a WordNet of a dozen synsets whose tables can be read off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hubel.tools.errors import CorruptError
from hubel.tools.lexica.wordnet_cache import read_tables, write_tables
from hubel.tools.lexica.wordnet_files import WordNetTables, read_wordnet
from tests.support.small_wordnet import FILES, write_archive


@pytest.fixture
def tables(tmp_path: Path) -> WordNetTables:
    return read_wordnet(write_archive(tmp_path / "w.tgz"))


def senses(tables: WordNetTables, reading: str) -> list[tuple[str, int]]:
    i = tables.readings.index(reading)
    at = slice(tables.sense_start[i], tables.sense_start[i + 1])
    names = [tables.synset_name[s] for s in tables.sense_synset[at]]
    return list(zip(names, tables.sense_count[at].tolist(), strict=True))


def above(tables: WordNetTables, name: str) -> list[str]:
    i = tables.synset_name.index(name)
    return [tables.synset_name[s] for s in tables.up[tables.up_start[i] : tables.up_start[i + 1]]]


def test_readings_have_their_senses_in_order_of_frequency(tables: WordNetTables) -> None:
    assert senses(tables, "dog n") == [("dog", 42), ("dog", 1)]
    assert senses(tables, "beast n") == [("animal", 1)]
    assert senses(tables, "can v") == [("can", 99)]


def test_a_name_is_a_reading_of_its_own(tables: WordNetTables) -> None:
    assert senses(tables, "turkey n") == [("turkey", 3)]
    assert senses(tables, "turkey p") == [("Turkey", 2)]


def test_up_are_hypernyms_heads_of_satellites_and_what_adjectives_are_values_of(
    tables: WordNetTables,
) -> None:
    assert above(tables, "Turkey") == ["country"]
    assert above(tables, "huge") == ["big"]
    assert above(tables, "big") == ["size"]
    assert above(tables, "entity") == []
    instances = np.flatnonzero(tables.is_instance)
    assert [tables.synset_name[i] for i in instances] == ["Turkey", "Hare"]


def test_marks_after_an_adjective_are_no_part_of_it(tables: WordNetTables) -> None:
    assert "galore" in tables.synset_name


def test_links_of_derivation_are_between_words(tables: WordNetTables) -> None:
    pairs = [{tables.readings[i] for i in pair} for pair in tables.related.tolist()]
    assert {"decide v", "decision n"} in pairs
    assert {"decide v", "animal n"} not in pairs
    assert len(pairs) == 3


@pytest.mark.parametrize(
    ("file", "line", "names"),
    [
        ("data.noun", "00000010 03 n zz entity 0 000 | no number of words\n", "data.noun"),
        ("data.verb", "00000010 31 v 01 decide 0 005 + 00000110 n 0101 | too few\n", "data.verb"),
        ("index.sense", "animal 00000020 1 9\n", "index.sense"),
        ("index.sense", "animal%1:05:00:: 00000077 1 9\n", "index.sense"),
        ("data.adj", "", "data.adj"),
    ],
)
def test_a_damaged_file_is_refused_by_name(
    tmp_path: Path, file: str, line: str, names: str
) -> None:
    changed = {file: FILES[file] + line if line else ""}
    with pytest.raises(CorruptError, match=names):
        read_wordnet(write_archive(tmp_path / "w.tgz", changed))


def test_a_torn_archive_is_refused(tmp_path: Path) -> None:
    whole = write_archive(tmp_path / "w.tgz").read_bytes()
    (tmp_path / "torn.tgz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptError):
        read_wordnet(tmp_path / "torn.tgz")


def test_the_parsed_file_reads_back(tables: WordNetTables, tmp_path: Path) -> None:
    write_tables(tables, tmp_path / "t")
    back = read_tables(tmp_path / "t")
    for name, one, other in zip(tables._fields, tables, back, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)


@pytest.mark.parametrize("damage", ["cut", "mixed", "absent"])
def test_a_damaged_parsed_file_is_refused(
    tables: WordNetTables, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "t"
    if damage == "cut":
        write_tables(tables, path)
        path.write_bytes(path.read_bytes()[:-50])
    elif damage == "mixed":
        write_tables(tables._replace(sense_start=tables.sense_start[:-1]), path)
    with pytest.raises(CorruptError, match="cannot be read"):
        read_tables(path)
