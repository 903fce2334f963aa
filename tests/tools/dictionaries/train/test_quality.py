"""A dictionary's figures, where they are known: a perfect one, and one that writes the mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hubel.tools.dictionaries.activations import Relu
from hubel.tools.dictionaries.dictionary import Dictionary
from hubel.tools.dictionaries.train.quality import (
    held_back_text,
    measure_quality,
    next_token_losses,
)
from hubel.tools.dictionaries.train.settings import TrainSettings
from hubel.tools.dictionaries.train.vectors import Text, Vectors, vectors_of_text
from hubel.tools.errors import UsageError
from hubel.tools.subject.address import Site
from tests.support.tiny import D_MODEL, tiny_subject

STREAM, MLP_OUT = Site("stream", 1), Site("mlp_out", 1)


def _held_back(place: Site, model_type: str = "llama") -> Vectors:
    rng = np.random.default_rng(0)
    text = Text(rng.integers(1, 250, (12, 10)).astype(np.int32), np.full(12, 10, np.uint16))
    settings = TrainSettings(place, place, latents=2 * D_MODEL, k=D_MODEL, tokens=64)
    return vectors_of_text(tiny_subject(model_type), settings, text)


def _perfect(place: Site) -> Dictionary:
    """Two latents for each coordinate, of either sign."""
    both = torch.cat([torch.eye(D_MODEL), -torch.eye(D_MODEL)])
    return Dictionary(
        "perfect", place, place, both.T.contiguous(), torch.zeros(2 * D_MODEL), both,
        torch.zeros(D_MODEL), Relu(),
    )  # fmt: skip


@pytest.mark.parametrize("place", [STREAM, MLP_OUT])
@pytest.mark.parametrize("model_type", ["llama", "gemma2", "gpt_neox"])
def test_a_perfect_dictionary_costs_nothing(place: Site, model_type: str) -> None:
    held_back = _held_back(place, model_type)
    quality = measure_quality(_perfect(place), held_back)
    assert quality.fidelity.explained_variance == pytest.approx(1, abs=1e-5)
    assert quality.fidelity.l0 == pytest.approx(D_MODEL, abs=0.01)
    written = held_back.read(np.arange(12)).inputs
    never = int((written <= 0).all(dim=0).sum() + (written >= 0).all(dim=0).sum())
    assert quality.fidelity.silent == pytest.approx(never / (2 * D_MODEL))
    assert quality.loss.reconstructed == pytest.approx(quality.loss.own, abs=1e-3)
    assert quality.loss.mean != pytest.approx(quality.loss.own, abs=1e-2)


def test_a_dictionary_that_writes_the_mean_recovers_nothing() -> None:
    held_back = _held_back(STREAM)
    mean = held_back.read(np.arange(12)).inputs.mean(dim=0)
    nothing = replace(
        _perfect(STREAM), encoder=torch.zeros(D_MODEL, 2 * D_MODEL), decoder_bias=mean
    )
    quality = measure_quality(nothing, held_back)
    assert quality.fidelity.explained_variance == pytest.approx(0, abs=1e-5)
    assert (quality.fidelity.l0, quality.fidelity.silent) == (0, 1)
    assert quality.loss.reconstructed == pytest.approx(quality.loss.mean, rel=1e-5)
    if quality.loss.recovered_from_mean is not None:
        assert quality.loss.recovered_from_mean == pytest.approx(0, abs=1e-4)


def test_losses_are_those_of_the_bare_model() -> None:
    held_back = _held_back(STREAM)
    losses = next_token_losses(held_back, np.arange(3), None)
    ids = torch.from_numpy(held_back.text.tokens[:3].astype(np.int64))
    with torch.inference_mode():
        logits = held_back.subject.model(ids).logits
    expected = torch.stack(
        [-logits[row, at].log_softmax(-1)[ids[row, at + 1]] for row in range(3) for at in range(9)]
    )
    assert torch.allclose(losses, expected, atol=1e-5)


def test_position_0_and_huge_vectors_are_left_as_they_are() -> None:
    held_back = _held_back(STREAM)
    held_back.limits = (0.0, 0.0)  # every vector is too long
    own = next_token_losses(held_back, np.arange(12), None)
    zeroed = next_token_losses(held_back, np.arange(12), torch.zeros_like)
    assert torch.equal(own, zeroed)


def test_a_text_of_single_tokens_is_refused() -> None:
    text = Text(np.ones((4, 8), np.int32), np.ones(4, np.uint16))
    with pytest.raises(UsageError, match="no held-back context of three tokens"):
        held_back_text(text, seed=0)
