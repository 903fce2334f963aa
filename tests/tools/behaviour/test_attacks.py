"""Swaps and reductions against exhaustive search, on subjects whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.bench.known_behaviour import bag_of_words
from hubel.tools.behaviour import next_token_log_probs
from hubel.tools.behaviour.hotflip import (
    SwapQuestion,
    attack_by_swaps,
    first_order_changes,
    is_realisable,
    measure_next_token_margins,
    word_tokens,
)
from hubel.tools.behaviour.input_reduction import reduce_prompt
from hubel.tools.errors import UsageError
from hubel.tools.subject.subject import Subject

NAMES = ["red", "cat", "dog", "city", "river", "bank", "told", "year"]
RNG = np.random.default_rng(3)
WEIGHTS = {
    word: {"wet": float(wet), "dry": float(dry)}
    for word, (wet, dry) in zip(NAMES, RNG.normal(size=(len(NAMES), 2)), strict=True)
}


@pytest.fixture(scope="module")
def linear() -> Subject:
    return bag_of_words(WEIGHTS, words=["the"], bias={"wet": 3.0})


def question(subject: Subject, text: str) -> SwapQuestion:
    (right,), (wrong,) = (subject.tokenize(word).ids for word in (" wet", " dry"))
    return SwapQuestion(tuple(subject.tokenize(text).ids), right, wrong)


def test_on_a_linear_subject_the_first_order_change_is_the_change(linear: Subject) -> None:
    asked = question(linear, "the cat told the dog")
    candidates = [linear.tokenize(f" {word}").ids[0] for word in NAMES]
    places = range(1, len(asked.ids))
    estimates = first_order_changes(linear, asked, places, candidates)
    (before,) = measure_next_token_margins(linear, [asked.ids], asked)
    for p, place in enumerate(places):
        rows = [(*asked.ids[:place], new, *asked.ids[place + 1 :]) for new in candidates]
        exact = np.array(measure_next_token_margins(linear, rows, asked)) - before
        assert np.allclose(estimates[p], exact, atol=1e-5)


def test_the_best_first_order_swap_is_the_exact_best(linear: Subject) -> None:
    asked = question(linear, "the cat told the dog")
    candidates = word_tokens(linear)
    attack = attack_by_swaps(linear, asked, candidates, most_swaps=1, verified=1)
    exhaustive = [
        measure_next_token_margins(linear, [(*asked.ids[:p], int(c), *asked.ids[p + 1 :])], asked)[
            0
        ]
        for p in range(1, len(asked.ids))
        for c in candidates
    ]
    assert attack.passes == 1
    assert attack.margins[1] == pytest.approx(min(exhaustive), abs=1e-5)
    chance = attack_by_swaps(linear, asked, candidates, most_swaps=1, verified=1, order="random")
    assert chance.margins[1] > attack.margins[1]


def test_swaps_go_on_until_the_preference_changes(linear: Subject) -> None:
    asked = question(linear, "the river bank told the city")
    attack = attack_by_swaps(linear, asked, word_tokens(linear), most_swaps=5)
    assert attack.margins[0] > 0 > attack.margins[-1]
    assert list(attack.margins) == sorted(attack.margins, reverse=True)
    assert len(attack.swaps) == len(attack.margins) - 1 <= 5
    assert is_realisable(linear, attack.ids)


def test_a_random_subject_is_read_exactly(tiny: Subject) -> None:
    ids = tuple(tiny.tokenize("the cat told the dog of the year").ids)
    (log_probs,) = next_token_log_probs(tiny, [ids])
    right, wrong = log_probs.argsort()[::-1][:2].tolist()
    asked = SwapQuestion(ids, right, wrong)
    attack = attack_by_swaps(tiny, asked, word_tokens(tiny), most_swaps=2, verified=8)
    (exact,) = next_token_log_probs(tiny, [attack.ids])
    assert attack.margins[-1] == pytest.approx(float(exact[right] - exact[wrong]), abs=1e-4)
    assert len(attack.estimates) == len(attack.changes) == 8


def test_nothing_to_swap_is_an_error(linear: Subject) -> None:
    with pytest.raises(UsageError, match="0 places"):
        attack_by_swaps(linear, question(linear, "the"), word_tokens(linear))


def test_a_planted_trigger_is_what_is_left() -> None:
    subject = bag_of_words(
        {"bank": {"wet": 20.0}}, words=["the", "cat", "of", "dog"], bias={"dry": 1.0}
    )
    ids = subject.tokenize("the dog of the bank the cat").ids
    reduced = reduce_prompt(subject, ids)
    assert [subject.token_strings()[ids[place]] for place in reduced.kept] == [" bank"]
    assert reduced.answer == subject.tokenize(" wet").ids[0]
    assert reduced.log_p[1] > reduced.log_p[0]


def test_every_step_of_a_reduction_keeps_the_answer(tiny: Subject) -> None:
    ids = tiny.tokenize("the cat told the dog of the year").ids
    for choice in ("best", "random"):
        reduced = reduce_prompt(tiny, ids, choice=choice)
        (left,) = next_token_log_probs(tiny, [[ids[p] for p in reduced.kept]])
        assert int(left.argmax()) == reduced.answer
        assert reduced.log_p[1] == pytest.approx(float(left.max()), abs=1e-4)
        if len(reduced.kept) > 1:  # and no further deletion would keep it
            shorter = [[ids[p] for p in reduced.kept if p != gone] for gone in reduced.kept]
            after = next_token_log_probs(tiny, shorter).argmax(axis=1)
            assert reduced.answer not in after.tolist()
    with pytest.raises(UsageError, match="without a token"):
        reduce_prompt(tiny, [])
