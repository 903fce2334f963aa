"""Slopes of logits against finite differences of the model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hubel.tools.errors import ArgumentError
from hubel.tools.representation.logit_slopes import logit_slopes, one_token
from tests.support.tiny import tiny_subject

TEXTS = ["the cat was", "a dog is in the city", "red"]


def test_slopes_are_finite_differences() -> None:
    tiny = tiny_subject()
    slopes = logit_slopes(tiny, TEXTS, 1, " cat", " dog")
    cat, dog = one_token(tiny, " cat"), one_token(tiny, " dog")
    step = torch.tensor(np.random.default_rng(0).normal(size=16), dtype=torch.float32) * 1e-2

    def difference(ids: list[int], sign: float) -> float:
        def move(_module: object, _args: object, output: torch.Tensor) -> torch.Tensor:
            moved = output.clone()
            moved[0, -1] += sign * step
            return moved

        handle = tiny.model.model.layers[1].register_forward_hook(move)
        with torch.no_grad():
            logits = tiny.model(torch.tensor([ids])).logits[0, -1]
        handle.remove()
        return float(logits[cat] - logits[dog])

    for text, slope in zip(TEXTS, slopes, strict=True):
        ids = tiny.tokenize(text).ids
        measured = (difference(ids, 1) - difference(ids, -1)) / 2
        assert measured == pytest.approx(float(slope @ step.numpy()), rel=0.05, abs=1e-4)


def test_a_word_of_two_tokens_is_said() -> None:
    with pytest.raises(ArgumentError, match="give one token"):
        one_token(tiny_subject(), "zebra")
