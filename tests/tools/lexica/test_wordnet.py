"""Classes and families: on a small WordNet by hand, and chains of the real one that everybody knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubel.tools.errors import UsageError
from hubel.tools.lexica import WordNet, parse_key
from hubel.tools.lexica.wordnet_cache import load_wordnet
from hubel.tools.lexica.wordnet_files import read_wordnet
from tests.support.small_wordnet import write_archive


@pytest.fixture
def small(tmp_path: Path) -> WordNet:
    return WordNet(read_wordnet(write_archive(tmp_path / "w.tgz")))


def members(wordnet: WordNet, written: str) -> frozenset[str]:
    return wordnet.members(parse_key(written))


def test_a_class_has_all_that_is_below_it_in_both_spellings_if_there_is_one(
    small: WordNet,
) -> None:
    assert members(small, "animal") == {
        *("animal n", "animal p", "beast n", "beast p", "dog n", "dog p"),
        *("turkey n", "hare n"),  # the names are a country and a person
    }
    assert members(small, "country") == {"country n", "country p", "turkey p"}


def test_a_rare_sense_and_a_rare_reading_do_not_count_nor_do_single_persons(small: WordNet) -> None:
    assert members(small, "person") == {
        *("person n", "person p", "individual n", "individual p", "decider n", "decider p")
    }
    assert "can n" not in members(small, "entity")


def test_adjectives_by_their_head_and_by_what_they_are_values_of(small: WordNet) -> None:
    assert members(small, "big a") == {"big a", "huge a"} == members(small, "size values")
    assert members(small, "size") == {"size n", "size p"}


def test_in_bulk_as_one_at_a_time(small: WordNet) -> None:
    above = small.classes(range(len(small.readings)))
    for synset, name in enumerate(small.tables.synset_name):
        key = small.key(synset)
        assert small.synset(key) == synset, name
        found = {small.readings[i] for i in above[:, [synset]].nonzero()[0]}
        own = small.members(key)
        same_part = {
            reading for reading in found if reading[-1] in ("np" if key.part in "np" else key.part)
        }
        assert set(small.with_spellings(same_part)) == own, name


def test_a_family_is_derived_and_begins_alike(small: WordNet) -> None:
    assert small.family("decide") == {
        *("decide v", "decision n", "decision p", "decider n", "decider p")
    }
    assert "buy v" not in small.family_of


@pytest.mark.parametrize("written", ["no such class", "dog 3", "dog v"])
def test_an_unknown_class_is_refused_by_name(small: WordNet, written: str) -> None:
    with pytest.raises(UsageError, match=written):
        members(small, written)


@pytest.fixture(scope="module")
def wordnet() -> WordNet:
    return load_wordnet()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("written", "inside", "outside"),
    [
        ("animal", "dog n,cat n,eagle n,salmon n", "table n,dog v,government n"),
        ("day of the week", "monday p,monday n,sunday p", "day n,january p"),
        ("city", "sydney p,london p,paris p", "australia p,house n"),
        ("country 2", "australia p,turkey p,france p", "turkey n,europe p"),
        ("musical instrument", "piano n,violin n,drum n", "music n"),
        ("travel v", "go v,walk v,fly v,ascend v", "think v,say v"),
        ("size values", "big a,huge a,tiny a", "red a,big n"),
        ("fruit", "apple n,banana n", "bread n"),
    ],
)
def test_chains_that_everybody_knows(
    wordnet: WordNet, written: str, inside: str, outside: str
) -> None:
    found = members(wordnet, written)
    assert [r for r in inside.split(",") if r not in found] == []
    assert [r for r in outside.split(",") if r in found] == []


@pytest.mark.slow
def test_families_that_everybody_knows(wordnet: WordNet) -> None:
    assert {"decide v", "decision n", "decisive a"} <= wordnet.family("decide")
    assert {"kill v", "killer n"} <= wordnet.family("kill")
    assert not {"purchase v", "murder v"} & {*wordnet.family("buy"), *wordnet.family("kill")}
