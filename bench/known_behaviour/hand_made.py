"""What subjects made by hand share: a GPT-2 with all weights zero, whose norms change nothing.

1. Two coordinates hold plus and minus a large constant, a third one minus the sum of all else that
   is written. LayerNorm subtracts a mean of 0 and divides by what the constant alone gives; its
   weight multiplies it back. With a constant of 10,000 it is the identity to 1e-7.
2. All else is zero until a caller sets it. Queries and keys of zero make attention uniform over the
   tokens read so far.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

CONSTANT = 1e4
"""Its square is 1e8 times that of what else a stream holds: the norm's error is 1e-8."""
BALANCE, FIRST_FREE = 2, 3
"""Coordinates 0 and 1 hold the constant."""


def silent_gpt2(tokens: int, width: int, *, layers: int = 1, positions: int = 256) -> Any:
    """The model in float64; `width` counts coordinates besides those of the constant and the balance."""
    size = width + FIRST_FREE
    config = GPT2Config(
        vocab_size=tokens,
        n_positions=positions,
        n_embd=size,
        n_layer=layers,
        n_head=1,
        n_inner=4,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_norm = "ln_" in name and name.endswith("weight")
            parameter.fill_(CONSTANT * (2 / size) ** 0.5 if is_norm else 0.0)
        model.transformer.wte.weight[:, 0] = CONSTANT
        model.transformer.wte.weight[:, 1] = -CONSTANT
    return model


def balance(model: Any) -> None:
    """Make everything that is written to the stream sum to zero, once all weights are set."""
    writers = [model.transformer.wte.weight, model.transformer.wpe.weight]
    writers += [layer.attn.c_proj.weight for layer in model.transformer.h]
    with torch.no_grad():
        for weight in writers:
            weight[:, BALANCE] -= weight.sum(1)
