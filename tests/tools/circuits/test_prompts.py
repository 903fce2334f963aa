"""Prompt pairs: what they measure, and what they refuse."""

import pytest
import torch

from hubel.tools.circuits.prompts import PADDING, PromptPair, PromptPairs
from hubel.tools.errors import UsageError
from tests.support.tiny import tiny_subject


def pairs(answer: list[list[int]], foil: list[list[int]]) -> PromptPairs:
    ids = torch.arange(1, 1 + 3 * len(answer)).view(-1, 3)
    return PromptPairs(ids, ids + 1, torch.tensor(answer), torch.tensor(foil))


def test_the_metric_is_the_mean_of_the_answers_less_the_mean_of_the_foils() -> None:
    logits = torch.tensor([[1.0, 2.0, 4.0, 8.0], [1.0, 2.0, 4.0, 8.0]])
    batch = pairs([[3, PADDING], [2, 3]], [[0, 1], [1, PADDING]])
    assert batch.logit_difference(logits).tolist() == [8 - 1.5, 6 - 2]


def test_text_becomes_ids_of_equal_length() -> None:
    batch = PromptPairs.from_texts(
        tiny_subject(), [PromptPair("the cat was", "the dog was", (" red",), (" blue",))]
    )
    assert batch.n_tokens == 3
    assert (batch.clean != batch.corrupted).tolist() == [[False, True, False]]


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (PromptPair("the cat", "the cat was", (" red",), (" blue",)), "equal length"),
        (PromptPair("the cat", "the dog", (" purple",), (" blue",)), "one token"),
        (PromptPair("the cat", "the dog", (" red",), (" red",)), "foil too"),
    ],
)
def test_bad_pairs_are_shown_and_refused(pair: PromptPair, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PromptPairs.from_texts(tiny_subject(), [pair])


def test_an_empty_task_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one token"):
        PromptPairs.from_texts(tiny_subject(), [])


def test_swapping_exchanges_the_twins_and_taking_keeps_order() -> None:
    batch = pairs([[3], [2]], [[0], [1]])
    assert torch.equal(batch.swapped().clean, batch.corrupted)
    assert batch.take([1, 1]).answer.tolist() == [[2], [2]]
