"""The weighted sum of log probabilities against the subject's own softmax, and the split."""

from __future__ import annotations

import pytest
import torch

from hubel.bench.tiny_subject import miniature
from hubel.tools.bias import BiasItem, items_of_half, score_items, weigh
from hubel.tools.errors import UsageError


def test_a_score_is_the_weighted_sum_of_the_subjects_log_probabilities() -> None:
    subject = miniature()
    ids = [0, *subject.tokenize("the cat was not in the city").ids]
    logits = subject.capture(torch.tensor([ids]), [], logits=True).logits
    assert logits is not None
    expected = 0.0
    for place in (2, 3):
        row = logits[0, place - 1].double()
        expected += float(row[ids[place]] - torch.logsumexp(row, 0)) / 2
    short = weigh(ids[:3], [2])
    item = BiasItem((weigh(ids, [2, 3], mean=True), short), "group", "domain")
    row = logits[0, 1].double()
    scores = score_items(subject, [item])
    assert scores[0, 0] == pytest.approx(expected, abs=1e-5)
    assert scores[0, 1] == pytest.approx(float(row.log_softmax(-1)[ids[2]]), abs=1e-5)


@pytest.mark.parametrize("counted", [[], [0], [9]])
def test_a_text_without_a_token_that_can_be_scored_is_refused(counted: list[int]) -> None:
    with pytest.raises(UsageError, match="at least one, from 1 on"):
        weigh([1, 2, 3], counted)


def test_no_item_and_a_text_beyond_the_context_are_refused() -> None:
    subject = miniature()
    with pytest.raises(UsageError, match="slice empty"):
        score_items(subject, [])
    long = weigh([1] * 200, [150])
    with pytest.raises(UsageError, match="200 tokens given; miniature reads at most 128"):
        score_items(subject, [BiasItem((long, long), "group", "domain")])


def test_halves_share_no_group_and_both_have_every_domain() -> None:
    text = weigh([1, 2], [1])
    items = [BiasItem((text, text), f"g{n % 10}", ["a", "b"][n % 2]) for n in range(40)]
    first, second = items_of_half(items, seed=0)
    assert not {item.group for item in first} & {item.group for item in second}
    assert {item.domain for item in first} == {item.domain for item in second} == {"a", "b"}
    assert len(first) + len(second) == 40
