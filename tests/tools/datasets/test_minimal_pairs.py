"""Minimal pairs: twins are balanced, each pair differs in one place, and tables are read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from hubel.tools.datasets import read_dataset
from hubel.tools.datasets.minimal_pairs import MinimalPair, minimal_pairs, phenomena, read_pairs
from hubel.tools.errors import UsageError

PLURAL = {"are", "were", "have"}


@pytest.mark.parametrize("name", sorted(phenomena()))
def test_a_preference_that_ignores_the_rule_is_right_in_half(name: str) -> None:
    """Each form is as often good as bad, or the two texts of a pair end in the same form."""
    pairs = minimal_pairs(name, twins=40)
    assert len({pair.texts() for pair in pairs}) == len(pairs)
    assert all(pair.texts()[0] != pair.texts()[1] for pair in pairs)
    assert Counter(pair.good for pair in pairs) == Counter(pair.bad for pair in pairs)
    same_context = [pair.good_prefix == pair.bad_prefix for pair in pairs]
    assert len(set(same_context)) == 1
    assert same_context[0] or all(pair.good == pair.bad for pair in pairs)
    assert len({pair.group for pair in pairs}) >= 10


@pytest.mark.parametrize("name", ["agreement", "agreement-attractor", "agreement-no-attractor"])
def test_the_verb_agrees_with_the_first_noun(name: str) -> None:
    """Another rule than the generator's: a plural noun ends in s or is irregular."""
    irregular = {"women", "men", "children"}
    for pair in minimal_pairs(name):
        words = pair.good_prefix.replace("I think that ", "").replace("It seems that ", "").split()
        noun = words[words.index("the") + 1] if "the" in words[:4] else words[1]
        if pair.good_prefix.startswith("The "):
            noun = words[1]
        is_plural = noun in irregular or (noun.endswith("s") and noun not in {"princess"})
        assert (pair.good.strip() in PLURAL) == is_plural, pair


def test_an_attractor_has_the_other_number_and_its_control_the_same() -> None:
    for name, is_other in (("agreement-attractor", True), ("agreement-no-attractor", False)):
        for pair in minimal_pairs(name):
            last = pair.good_prefix.split()[-1]
            assert (last.endswith("s") == (pair.good.strip() in PLURAL)) != is_other, pair


def test_the_texts_are_a_data_set() -> None:
    data = read_dataset("pairs/polarity-ever")
    assert Counter(data.labels) == {"grammatical": 100, "ungrammatical": 100}
    assert len(set(data.groups)) == 50


def test_pairs_of_a_table(tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("prefix,good,bad,group\nThe keys, are, is,key\nThe dog, is, are,dog\n")
    pairs = read_pairs(str(table))
    assert pairs[0] == MinimalPair("pairs", "key", "The keys", " are", "The keys", " is")
    assert read_pairs("agreement,participle")[0].phenomenon == "agreement"
    assert {pair.phenomenon for pair in read_pairs("all")} == set(phenomena())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("good,bad\na,\n", "a text is needed under 'good' and one under 'bad'"),
        ("good,bad\na,a\n", "the good and the bad text are the same"),
        ("good,bad\n", "has no rows"),
    ],
)
def test_a_bad_table_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "pairs.csv").write_text(content)
    with pytest.raises(UsageError, match=message):
        read_pairs(str(tmp_path / "pairs.csv"))


def test_unknown_phenomena_and_files_say_what_there_is() -> None:
    with pytest.raises(UsageError, match="no phenomenon 'x'; there are agreement, "):
        read_pairs("x")
    with pytest.raises(UsageError, match=r"no file 'x\.csv'"):
        read_pairs("x.csv")
