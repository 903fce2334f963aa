"""Cross-attention of tiny random T5 and BART models, and of weights whose attention is uniform."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSeq2SeqLM

from hubel.tools.errors import ArgumentError, UsageError
from hubel.tools.representation.two_streams import TwoStreams, cross_attention_mass
from tests.support.tiny import tiny_model
from tests.support.tiny_encoder import tiny_encoder_model

SIZES: dict[str, dict[str, Any]] = {
    "t5": {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4},
    "bart": {
        "d_model": 16,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 24,
        "max_position_embeddings": 32,
    },
}
SOURCE = torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, 0, 0]])
SEEN = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
TARGET = torch.tensor([[2, 11, 12], [2, 13, 14]])


def model_of(kind: str) -> Any:
    torch.manual_seed(0)
    special = {"pad_token_id": 0, "decoder_start_token_id": 2, "eos_token_id": 3}
    config = AutoConfig.for_model(kind, vocab_size=20, **SIZES[kind], **special)
    model = AutoModelForSeq2SeqLM.from_config(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.5)
    return model


@pytest.mark.parametrize("kind", SIZES)
def test_rows_sum_to_one_and_masses_add_up(kind: str) -> None:
    streams = TwoStreams(model_of(kind))
    patterns = streams.cross_attention({"input_ids": SOURCE, "attention_mask": SEEN}, TARGET)
    assert patterns.shape == (2, 2, 4, 3, 5)
    torch.testing.assert_close(patterns.sum(-1), torch.ones(2, 2, 4, 3))
    assert patterns[:, 1, :, :, 3:].max() == 0, "padding of the source"
    first = torch.zeros(2, 5, dtype=torch.bool)
    first[:, :2] = True
    masses = [cross_attention_mass(patterns, marked) for marked in (first, ~first)]
    torch.testing.assert_close(masses[0] + masses[1], torch.ones(2, 2, 4))
    assert masses[0].std() > 0.01
    naive = patterns[1, 0, 2, 1:, :2].sum(-1).mean()
    of_two = cross_attention_mass(patterns, first, torch.tensor([[False, True, True]] * 2))
    torch.testing.assert_close(of_two[1, 0, 2], naive)
    assert streams.model.config._attn_implementation != "eager"


@pytest.mark.parametrize("kind", SIZES)
def test_uniform_weights_give_uniform_mass(kind: str) -> None:
    model = model_of(kind)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "EncDecAttention.q." in name or "encoder_attn.q_proj" in name:
                weight.zero_()
    patterns = TwoStreams(model).cross_attention(
        {"input_ids": SOURCE, "attention_mask": SEEN}, TARGET
    )
    marked = torch.tensor([[True, True, False, False, False]] * 2)
    mass = cross_attention_mass(patterns, marked)
    torch.testing.assert_close(mass[:, 0], torch.full((2, 4), 2 / 5))
    torch.testing.assert_close(mass[:, 1], torch.full((2, 4), 2 / 3))


@pytest.mark.parametrize("model", [tiny_model(), tiny_encoder_model()], ids=["decoder", "encoder"])
def test_a_model_of_one_stream_is_refused(model: Any) -> None:
    with pytest.raises(UsageError, match="cross-attention needs an encoder-decoder, such as T5"):
        TwoStreams(model, "'mine'")


def test_marks_of_another_shape_are_refused() -> None:
    patterns = torch.full((1, 2, 1, 3, 4), 0.25)
    with pytest.raises(ArgumentError, match=r"\(2, 3\) given; expected \(2, 4\)"):
        cross_attention_mass(patterns, torch.ones(2, 3, dtype=torch.bool))
    none = torch.zeros(2, 3, dtype=torch.bool)
    with pytest.raises(ArgumentError, match="no target token"):
        cross_attention_mass(patterns, torch.ones(2, 4, dtype=torch.bool), none)
