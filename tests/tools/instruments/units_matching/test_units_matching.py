"""Ranking all units by a target, against numpy over every activation of every unit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hubel.tools.corpus import Document, corpus_from_documents
from hubel.tools.errors import ArgumentError
from hubel.tools.index import Index, build_index
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.instruments.units_matching import search
from hubel.tools.instruments.units_matching.instrument import UnitsMatching
from hubel.tools.instruments.units_matching.search import MatchingUnit
from hubel.tools.subject import Site, Unit
from hubel.tools.subject.planted_units import parse_suite, plant
from tests.support.tiny import WORDS, tiny_subject

WEEKDAYS = ["monday", "Friday"]


def matching(context: InstrumentContext, **arguments: Any) -> UnitsMatching:
    result = call("units.matching", {"k": 50, **arguments}, context)
    assert isinstance(result, UnitsMatching)
    return result


@pytest.fixture(scope="module")
def stored(indexed: InstrumentContext, tmp_path_factory: pytest.TempPathFactory) -> Index:
    """The index of `indexed`, with a store of two of its three layers."""
    index = indexed.require_index()
    folder = tmp_path_factory.mktemp("stored") / "i"
    build_index(indexed.require_subject(), _documents(), folder, context_len=16, store=[0, 2])
    assert Index.open(folder).contexts_sha256 == index.contexts_sha256
    return Index.open(folder)


def _documents() -> Any:
    draw = np.random.default_rng(0)
    words = np.array(WORDS.split())
    documents = [Document(f"d{i}", " ".join(draw.choice(words, 40))) for i in range(40)]
    return corpus_from_documents("words", documents)


def tokens_of(index: Index, words: list[str]) -> np.ndarray:
    """1 at the tokens that are one of some words; nan where nothing counts."""
    contexts, strings = index.contexts("explore"), index.vocabulary
    listed = {word.lower() for word in words}
    y = np.full(contexts.tokens.shape, np.nan)
    for row, length in enumerate(contexts.length.tolist()):
        for at in range(1, length):
            y[row, at] = strings[contexts.tokens[row, at]].strip().lower() in listed
    return y


def auroc(x: np.ndarray, is_match: np.ndarray) -> float:
    """The share of pairs, counted one by one."""
    pairs = x[is_match][:, None] - x[~is_match]
    return float((pairs > 0).mean() + (pairs == 0).mean() / 2)


def expected(naive: dict[Site, np.ndarray], y: np.ndarray) -> dict[str, tuple[float, float]]:
    """r and AUROC of every unit, by address."""
    counted = ~np.isnan(y)
    numbers = {}
    for site, values in naive.items():
        for column in range(values.shape[-1]):
            x = values[..., column][counted]
            r = float(np.corrcoef(x, y[counted])[0, 1])
            numbers[f"{site.kind}.{site.layer}.{column}"] = (r, auroc(x, y[counted] > 0))
    return numbers


def check(units: list[MatchingUnit], numbers: dict[str, tuple[float, float]], which: int) -> None:
    """The best units are listed in order, on the right sides and with the right numbers."""
    offset = (0, 0.5)[which]
    strengths = {
        name: values[which] - offset
        for name, values in numbers.items()
        if not name.startswith("head") or values[which] > offset
    }
    best = sorted(strengths, key=lambda name: -abs(strengths[name]))[: len(units)]
    assert [str(Unit.parse(unit.unit).unsided) for unit in units] == best
    for unit in units:
        address = Unit.parse(unit.unit)
        r, area = numbers[str(address.unsided)]
        if address.side == "-":
            r, area = -r, 1 - area
        assert (unit.r, unit.auroc)[which] >= offset
        assert unit.r == pytest.approx(r, abs=1e-3)
        assert unit.auroc == pytest.approx(area, abs=1e-3)


@pytest.mark.parametrize("has_store", [False, True])
def test_the_ranking_is_that_of_a_loop_over_all_units(
    indexed: InstrumentContext, naive: dict[Site, np.ndarray], stored: Index, has_store: bool
) -> None:
    context = replace(indexed, index=stored) if has_store else indexed
    result = matching(context, words=WEEKDAYS, k=10)
    y = tokens_of(indexed.require_index(), WEEKDAYS)
    numbers = expected(naive, y)
    check(result.by_r, numbers, 0)
    check(result.by_auroc, numbers, 1)
    assert (result.n_tokens, result.n_matches) == (int((~np.isnan(y)).sum()), int(np.nansum(y)))
    assert result.compared == 3 * 28
    assert sum(result.found.values()) == result.n_matches
    for unit in (*result.by_r, *result.by_auroc):
        address = Unit.parse(unit.unit)
        values = naive[address.place][..., address.index]
        assert unit.at_matches == pytest.approx(values[y == 1].mean(), rel=1e-2, abs=1e-3)
        assert unit.mean == pytest.approx(np.nanmean(values), rel=1e-3, abs=1e-4)
        assert unit.matches + unit.others == result.n_tokens
        assert set(unit.tokens) == {" Monday", " Friday"}
    (note,) = result.notes
    assert ("sites are not in" in note, "has no activation store" in note) == (
        has_store,
        not has_store,
    )
    assert str(context.require_index().path) not in note


def test_means_at_each_token_are_listed_with_the_furthest_first(
    indexed: InstrumentContext, naive: dict[Site, np.ndarray]
) -> None:
    (unit, *_) = matching(indexed, words=["cat", "dog"], k=3).by_r
    address = Unit.parse(unit.unit)
    values = naive[address.place][..., address.index]
    sign = -1 if address.side == "-" else 1
    for token, mean in unit.tokens.items():
        at = tokens_of(indexed.require_index(), [token.strip()]) == 1
        assert mean == pytest.approx(values[at].mean(), rel=1e-3)
    means = [sign * mean for mean in unit.tokens.values()]
    assert means == sorted(means, reverse=True)


def test_a_pattern_a_list_and_a_predicate_say_the_same(indexed: InstrumentContext) -> None:
    by_words = matching(indexed, words=["cat", "dog"])
    by_pattern = matching(indexed, pattern=r"\b(?:cat|dog)\b", regex=True)
    by_predicate = matching(indexed, predicate='words("cat", "dog")')
    turned = matching(indexed, predicate='- strongly words("cat", "dog"); step 2, rest 1')
    for other in (by_pattern, by_predicate, turned):
        assert [u.unit for u in other.by_r] == [u.unit for u in by_words.by_r]
        assert [u.r for u in other.by_r] == pytest.approx([u.r for u in by_words.by_r], abs=1e-5)
        assert other.by_auroc == by_words.by_auroc


def test_a_graded_predicate_is_correlated_with_its_grades(
    indexed: InstrumentContext, naive: dict[Site, np.ndarray]
) -> None:
    cat, dog = (tokens_of(indexed.require_index(), [word]) for word in ("cat", "dog"))
    result = matching(indexed, predicate='strongly words("cat") - slightly words("dog")', k=10)
    numbers = expected(naive, 8 * cat - 2 * dog)
    check(result.by_r, numbers, 0)
    check(result.by_auroc, numbers, 1)


def test_common_tokens_are_screened_and_the_best_computed_exactly(
    indexed: InstrumentContext,
    naive: dict[Site, np.ndarray],
    stored: Index,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "MOST_MATCHES", 20)
    monkeypatch.setattr(search, "OTHERS", 200)
    monkeypatch.setattr(search, "OTHERS_OF_A_PASS", 200)
    context = replace(indexed, index=stored)
    result = matching(context, words=["cat", "dog", "the", "Monday"], layers=[0, 2], k=10)
    assert not result.notes
    y = tokens_of(indexed.require_index(), ["cat", "dog", "the", "Monday"])
    numbers = expected({site: x for site, x in naive.items() if site.layer != 1}, y)
    check(result.by_r, numbers, 0)
    check(result.by_auroc, numbers, 1)
    # Without a store they are over what was read, and say so.
    screened = matching(indexed, words=["cat", "dog", "the", "Monday"], k=4)
    (unit, *_) = screened.by_r
    assert 20 <= unit.matches < screened.n_matches
    assert f"(over {unit.matches} matches and {unit.others} other tokens)" in screened.render()


def test_a_word_of_several_tokens_counts_on_all_of_them_or_the_last(
    indexed: InstrumentContext,
) -> None:
    whole = matching(indexed, pattern="cat dog")
    last = matching(indexed, pattern="cat dog", last_only=True)
    assert whole.n_matches == 2 * last.n_matches > 0
    assert set(last.by_r[0].tokens) == {" dog"}


def test_casing_can_be_matched(indexed: InstrumentContext) -> None:
    with pytest.raises(ArgumentError, match=r'none of the .* matches the words "monday"'):
        matching(indexed, words=["monday"], match_case=True)
    found = matching(indexed, words=["Monday", "xylophone"], match_case=True)
    assert found.found["Monday"] == found.n_matches
    assert 'not in explore: "xylophone"' in found.render()


def test_as_many_units_are_beyond_chance_as_a_permutation_says(
    indexed: InstrumentContext, naive: dict[Site, np.ndarray]
) -> None:
    y = tokens_of(indexed.require_index(), ["cat"])
    flat = y[~np.isnan(y)]
    x = np.concatenate([values[~np.isnan(y)] for values in naive.values()], axis=1)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    rng = np.random.default_rng(1)
    largest = []
    for _ in range(40):
        drawn = rng.permutation(flat)
        r = (drawn - drawn.mean()) @ x / (len(drawn) * drawn.std())
        largest.append(np.abs(r).max())
    result = matching(indexed, words=["cat"])
    assert result.chance_r == pytest.approx(np.mean(largest), rel=0.2)
    assert 0.5 < result.chance_auroc < 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "nothing given to look for"),
        ({"words": ["cat"], "pattern": "dog"}, "words and pattern given"),
        ({"words": ["zebra"]}, 'none of the .* tokens of explore matches the words "zebra"'),
        ({"words": [""]}, "words.0: "),
        ({"words": []}, "words: "),
        ({"pattern": "(", "regex": True}, "not an RE2 expression"),
        ({"pattern": r"\w+|\W+", "regex": True}, "nothing to compare with"),
        ({"predicate": "strongly sheep()"}, "no family of concepts is called 'sheep'"),
        ({"predicate": "strongly words("}, "is missing at the end"),
        ({"predicate": "nothing"}, "none of the"),
        ({"words": ["cat"], "layers": [7]}, "no site of kind any and layer"),
        ({"words": ["cat"], "sites": ["resid"]}, "no site of kind"),
    ],
)
def test_invalid_targets_are_refused_with_a_hint(
    indexed: InstrumentContext, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ArgumentError, match=says):
        matching(indexed, **arguments)


SUITE = """
[[unit]]
id = "weekdays"
layer = 1
meaning = "weekdays"
part = [{ match = '\\b(?:Monday|Friday)\\b', strength = 3.0 }]
noise = 0.05
[[unit]]
id = "cats"
layer = 2
meaning = "cats, negatively"
part = [{ match = '\\bcat\\b', side = "-", strength = 2.0 }]
noise = 0.05
writes = " dog"
"""


@pytest.mark.parametrize("store", ["all", "none"])
def test_a_planted_unit_is_the_first_of_all_by_what_it_was_planted_for(
    tmp_path: Path, store: Any
) -> None:
    corpus = _documents()
    subject = plant(tiny_subject(), parse_suite(SUITE), corpus.documents, context_len=16)
    build_index(subject, corpus, tmp_path / "i", context_len=16, store=store)
    context = InstrumentContext(subject, Index.open(tmp_path / "i"))
    for id, side, word in (("weekdays", "+", ["Monday", "Friday"]), ("cats", "-", ["cat"])):
        result = matching(context, words=word, k=5)
        unit = f"{subject.address_by_id[id]}{side}"
        assert (result.by_r[0].unit, result.by_auroc[0].unit) == (unit, unit)
        assert result.by_r[0].r > 0.95
        assert result.by_auroc[0].auroc == 1
        listed = ", ".join(f'"{w.lower()}"' for w in word)
        assert matching(context, predicate=f"strongly words({listed})").by_r[0].unit == unit
        assert bool(result.notes) == (store == "none")
