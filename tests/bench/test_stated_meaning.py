"""A named concept that is nearly the planted rule states it; a list, a sum and the other side do not."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.bench.stated_meaning import agreement, stated_parts, states_meaning, word_numbers
from hubel.tools.dissection import Lexicon, Predicate, TextView

STRINGS = [" the", " cat", "s", " walk", "ing", " runn", " New", " York", ",", " sing", " 7"]
#             0       1     2      3      4       5       6       7      8      9      10
TEXT = [[3, 4, 1, 2, 8, 5, 4, 0, 6, 7], [0, 9, 4, 10, 1, 0, 6, 7, 8, 0]]
"""walking cats, running the New York | the singing 7 cat the New York, the"""


@pytest.fixture(scope="module")
def text() -> TextView:
    tokens = np.array(TEXT)
    return TextView(tokens, np.full(len(tokens), tokens.shape[1]), Lexicon(STRINGS))


def active(text: TextView, *strings: str) -> np.ndarray:
    return np.isin(text.tokens, [STRINGS.index(string) for string in strings])


def f1(formula: str, truth: np.ndarray, text: TextView, sign: float = 1.0) -> float:
    part = truth.astype(np.float32)[None] * sign
    everywhere = np.ones(truth.shape, bool)
    return stated_parts(Predicate.parse(formula), part, text, everywhere)[0].f1


def test_tokens_of_one_word_share_its_number_and_contexts_are_apart(text: TextView) -> None:
    assert word_numbers(text).tolist() == [
        [0, 0, 1, 1, 2, 3, 3, 4, 5, 6],
        [8, 9, 9, 10, 11, 12, 13, 14, 15, 16],
    ]


def test_a_concept_of_pieces_states_a_rule_of_words(text: TextView) -> None:
    words_in_ing = active(text, " walk", " runn", "ing", " sing")
    assert f1('strongly suffix("g")', words_in_ing, text) == 1.0
    assert f1('strongly kind("number")', words_in_ing, text) == 0.0
    assert f1('- strongly suffix("g")', words_in_ing, text) == 0.0
    assert f1('- strongly suffix("g")', words_in_ing, text, sign=-1.0) == 1.0


def test_what_lists_the_words_or_adds_them_up_does_not_state(text: TextView) -> None:
    three = active(text, " the", " 7", " York")
    assert f1('strongly words("the", "7", "york")', three, text) == 0.0
    assert f1('list(" the" 9, " 7" 9, " York" 9)', three, text) == 0.0
    added = 'strongly kind("number") + strongly prefix("th") + strongly prefix("yo")'
    assert 0 < f1(added, three, text) < 0.8
    after = np.zeros(three.shape, bool)
    after[:, 1:] = three[:, :-1]
    assert f1('strongly after(words("the", "7", "york"))', after, text) == 0.0
    assert f1('strongly after(words("7"))', after, text) > 0


def test_an_exception_belongs_to_its_claim(text: TextView) -> None:
    truth = active(text, " sing", "ing") & ~active(text, " walk")
    truth[0] = False
    formula = 'strongly suffix("ng") {} slightly prefix("sin")'
    assert f1(formula.format("except"), truth, text) == f1('strongly suffix("ng")', truth, text)
    formula = 'strongly suffix("ng") {} strongly prefix("sin")'
    assert f1(formula.format("except"), truth, text) <= f1('strongly suffix("ng")', truth, text)


def test_of_a_short_phrase_the_first_word_may_be_missed(text: TextView) -> None:
    name = active(text, " New", " York")
    words, everywhere = word_numbers(text), np.ones(name.shape, bool)
    assert agreement(active(text, " York"), name, words, everywhere) == 1.0
    assert agreement(active(text, " New", " York", " 7"), name, words, everywhere) == pytest.approx(
        2 * 0.8 / 1.8
    )
    long = np.zeros(name.shape, bool)
    long[0] = True  # one run of seven words
    assert agreement(active(text, " York"), long, words, everywhere) < 0.8
    assert agreement(name, np.zeros_like(name), words, everywhere) == 0.0


def test_every_part_needs_a_concept_of_its_own(text: TextView) -> None:
    parts = np.stack([active(text, " 7").astype(np.float32), -active(text, ",").astype(np.float32)])
    mask = np.ones(parts.shape[1:], bool)
    both = Predicate.parse('strongly kind("number") - strongly kind("comma")')
    assert states_meaning(stated_parts(both, parts, text, mask))
    one = Predicate.parse('strongly kind("number")')
    assert not states_meaning(stated_parts(one, parts, text, mask))
    assert not states_meaning([])
