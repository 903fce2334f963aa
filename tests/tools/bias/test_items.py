"""The weighted sum of log probabilities against the subject's own softmax, and the split."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hubel.bench.tiny_subject import miniature
from hubel.tools.bias import BiasItem, items_of_half, weigh, weighted_score
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
    log_probs = logits[0].double().log_softmax(-1)[range(len(ids) - 1), ids[1:]].numpy()
    assert weighted_score(weigh(ids, [2, 3], mean=True), log_probs) == pytest.approx(expected)


@pytest.mark.parametrize("counted", [[], [0], [9]])
def test_a_text_without_a_token_that_can_be_scored_is_refused(counted: list[int]) -> None:
    with pytest.raises(UsageError, match="at least one, from 1 on"):
        weigh([1, 2, 3], counted)


def test_log_probabilities_of_another_length_are_refused() -> None:
    with pytest.raises(UsageError, match="one for each token but the first"):
        weighted_score(weigh([1, 2, 3], [1]), np.zeros(3))


def test_halves_share_no_group_and_both_have_every_domain() -> None:
    text = weigh([1, 2], [1])
    items = [BiasItem((text, text), f"g{n % 10}", ["a", "b"][n % 2]) for n in range(40)]
    first, second = items_of_half(items, seed=0)
    assert not {item.group for item in first} & {item.group for item in second}
    assert {item.domain for item in first} == {item.domain for item in second} == {"a", "b"}
    assert len(first) + len(second) == 40
