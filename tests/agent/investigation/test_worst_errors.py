"""Misses on the scale of the truth, against numpy's own line of best fit."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.agent.explainers.protocol import TargetData
from hubel.agent.investigation.worst_errors import missed_tokens, rescale_to_truth, worst_passages
from tests.support import world


@pytest.fixture(scope="module")
def data() -> TargetData:
    """A unit that is 3 on one token, -1 on another, and noise elsewhere."""
    text = world.text(world.lexicon())
    at = np.arange(text.tokens.shape[1])
    mask = (at > 0) & (at < np.asarray(text.length)[:, None])
    signal = np.random.default_rng(0).normal(0, 0.1, mask.shape)
    signal += 3.0 * (text.tokens == 7) - 1.0 * (text.tokens == 30)
    return TargetData(
        text.tokens,
        np.asarray(text.length),
        world.documents(len(mask)),
        mask,
        signal,
        text.lexicon,
        {},
    )


def test_a_prediction_is_held_against_the_truth_by_the_line_of_best_fit(data: TargetData) -> None:
    predicted = 40.0 * (data.tokens == 7) + 5.0
    slope, rest = np.polyfit(predicted[data.mask], data.signal[data.mask], 1)
    np.testing.assert_allclose(
        rescale_to_truth(data, predicted)[data.mask], slope * predicted[data.mask] + rest, atol=1e-9
    )
    flat = rescale_to_truth(data, np.zeros(data.tokens.shape))
    np.testing.assert_allclose(flat, data.signal[data.mask].mean())


def test_the_token_that_a_prediction_leaves_out_is_named_with_what_is_missing(
    data: TargetData,
) -> None:
    first, *others = missed_tokens(data, 1.0 * (data.tokens == 7))
    strings = data.lexicon.strings
    assert (first["token"], first["count"]) == (
        strings[30],
        int(((data.tokens == 30) & data.mask).sum()),
    )
    assert first["missing"] == pytest.approx(-1.0, abs=0.1)
    assert all(abs(other["missing"]) < 0.5 for other in others)


def test_the_worst_passages_are_of_different_tokens_and_in_activations(data: TargetData) -> None:
    passages = worst_passages(data, 1.0 * (data.tokens == 30), n=4)
    assert passages[0]["token"] == data.lexicon.strings[7]
    assert passages[0]["true"] == pytest.approx(3.0, abs=0.5)
    assert len({miss["token"] for miss in passages}) == 4
