"""A unit's activation by word and by concept, against means over the same tokens."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.tools.errors import ArgumentError
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.instruments.activations_by_concept import ByConcept
from hubel.tools.instruments.concepts import Concepts
from hubel.tools.instruments.readable_texts import ReadableTexts
from hubel.tools.subject.address import Unit

UNIT = "mlp.1.5"


@pytest.fixture
def bench(indexed: InstrumentContext) -> InstrumentContext:
    return indexed


def by(bench: InstrumentContext, group: str, **more: object) -> ByConcept:
    result = call("activations.by_concept", {"unit": UNIT, "by": group} | more, bench)
    assert isinstance(result, ByConcept)
    return result


def values_of(bench: InstrumentContext, word: str) -> np.ndarray:
    """The unit at every place of a word in explore, one by one."""
    index, subject = bench.require_index(), bench.require_subject()
    contexts, strings = index.contexts("explore"), subject.token_strings()
    signals = ReadableTexts.of_explore(subject, index, range(len(contexts.tokens))).signals(
        Unit.parse(UNIT)
    )
    return np.array(
        [
            signal[place]
            for row, signal in enumerate(signals)
            for place in range(1, len(signal))
            if strings[contexts.tokens[row, place]].strip().lower() == word
        ]
    )


def test_means_by_word_are_those_of_its_places(bench: InstrumentContext) -> None:
    result = by(bench, "word", k=100)
    groups = {group.name: group for group in [*result.highest, *result.lowest]}
    for word in ("cat", "monday"):
        values = values_of(bench, word)
        assert groups[word].n == len(values)
        assert groups[word].mean == pytest.approx(values.mean(), rel=5e-3)
        level = result.levels["+"]
        assert groups[word].fires["+"] == pytest.approx((values >= level).mean(), abs=1e-3)
    means = [group.mean for group in result.highest]
    assert means == sorted(means, reverse=True)


def test_a_concept_is_compared_with_all_other_tokens(bench: InstrumentContext) -> None:
    result = by(bench, 'words("cat")', k=2)
    holds, others = result.whole
    assert holds.mean == pytest.approx(values_of(bench, "cat").mean(), rel=5e-3)
    assert holds.n + others.n == result.n
    assert result.render().splitlines()[1].startswith('  words("cat"): ')


def test_a_family_with_names_gives_a_group_for_each(bench: InstrumentContext) -> None:
    result = by(bench, "wordclass", k=100)
    assert "weekdays" in {group.name for group in [*result.highest, *result.lowest]}


@pytest.mark.parametrize(
    ("group", "says"),
    [("word(", "no family of concepts is called 'word'"), ('words("zebu")', "no group")],
)
def test_what_cannot_be_grouped_is_an_error(
    bench: InstrumentContext, group: str, says: str
) -> None:
    with pytest.raises(ArgumentError, match=says):
        by(bench, group, least=1000 if "zebu" in group else 3, most=20)


def test_all_names_of_a_family_can_be_listed() -> None:
    result = call("concepts", {"family": "wordclass"}, InstrumentContext())
    assert isinstance(result, Concepts)
    assert "weekdays" in result.families[0].names
    assert len(result.families[0].names) > 200
    assert "weekdays" in result.render()
    every = call("concepts", {}, InstrumentContext())
    assert isinstance(every, Concepts)
    assert any("kind(name)" in line for line in every.render().splitlines())
