"""Transformers whose weights are set by hand: attention and MLPs that do a known thing, without norms and biases."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from hubel.tools.subject.subject import Subject

from .tiny import tiny_tokenizer


class NoNorm(nn.Module):
    """In the place of a LayerNorm: gives what it gets."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = (
            nn.Parameter(torch.ones(width)),
            nn.Parameter(torch.zeros(width)),
            0.0,
        )

    def forward(self, value: Tensor) -> Tensor:
        return value


def blank(
    n_layers: int, n_heads: int, d_model: int, vocabulary: int, positions: int, neurons: int = 4
) -> Any:
    """A GPT-2 without norms whose weights are all zero, in double precision."""
    config = GPT2Config(
        vocab_size=vocabulary, n_positions=positions, n_embd=d_model, n_layer=n_layers, n_head=n_heads, n_inner=neurons,
        activation_function="relu", tie_word_embeddings=False, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model: Any = GPT2LMHeadModel(config)
    for block in model.transformer.h:
        block.ln_1, block.ln_2 = NoNorm(d_model), NoNorm(d_model)
    model.transformer.ln_f = NoNorm(d_model)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".ln_" not in name:
                weight.zero_()
    return model.double().eval()


def set_head(model: Any, layer: int, head: int, q: Tensor, k: Tensor, v: Tensor, o: Tensor) -> None:
    """Weights of one head: q, k, v (d_model, head_dim) and o (head_dim, d_model), narrower ones filled with zeros."""
    attention, config = model.transformer.h[layer].attn, model.config
    width = config.n_embd // config.n_head
    with torch.no_grad():
        for part, weight in enumerate((q, k, v)):
            start = part * config.n_embd + head * width
            attention.c_attn.weight[:, start : start + weight.shape[1]] = weight
        attention.c_proj.weight[head * width : head * width + len(o)] = o


def subject_of(model: Any, name: str = "handmade") -> Subject:
    """A subject whose tokenizer is of no use: give it token ids."""
    return Subject(model, tiny_tokenizer(), name=name, revision=f"{0:016x}")


def one_hots(d_model: int, *widths: int) -> list[Tensor]:
    """Subspaces side by side: for each width a (width, d_model) matrix whose rows are its coordinates."""
    eye, starts = torch.eye(d_model).double(), [sum(widths[:at]) for at in range(len(widths))]
    return [eye[start : start + width] for start, width in zip(starts, widths, strict=True)]


def induction_model() -> Any:
    """13 tokens, 13 positions: head.0.0 looks at the previous token and writes it down, head.0.1 at
    earlier copies, head.1.0 is an induction head that copies, head.1.1 does nothing."""
    n, sharp = 13, 200.0
    model = blank(2, 2, 4 * n, n, n)
    token, position, before, out = one_hots(4 * n, n, n, n, n)
    back = torch.diag(torch.ones(n - 1).double(), -1)  # position p asks for p - 1
    nothing = torch.zeros(4 * n, n).double()
    with torch.no_grad():
        model.transformer.wte.weight.copy_(token)
        model.transformer.wpe.weight.copy_(position)
        model.lm_head.weight.copy_(out)
    set_head(model, 0, 0, sharp * position.T @ back, position.T, token.T, before)
    both = torch.cat([token, position]).T
    set_head(
        model,
        0,
        1,
        sharp * both,
        torch.cat([token, -2 * position]).T,
        nothing,
        torch.zeros(n, 4 * n).double(),
    )
    set_head(model, 1, 0, sharp * token.T, before.T, token.T, out)
    return model


def addition_model(p: int = 4) -> Any:
    """Tokens 0 to p-1 and "=" (p); on `a b c =` it says (a + b + c) mod p. At "=", after layer 0,
    the stream holds (a + b) mod p in a subspace of its own, the last but one of `one_hots(d, p + 1,
    4, p, p, p, p, p)`."""
    d, sharp = 3 * (-(-(p + 1 + 4 + 5 * p) // 3)), 200.0
    model = blank(2, 3, d, p + 1, 4, neurons=p * p)
    token, position, a, b, c, s, out = one_hots(d, p + 1, 4, p, p, p, p, p)
    with torch.no_grad():
        model.transformer.wte.weight.copy_(token)
        model.transformer.wpe.weight.copy_(position)
        model.lm_head.weight[:p] = out
    for head, place in enumerate((a, b, c)):
        set_head(
            model, 0, head, sharp * position[3:4].T, position[head : head + 1].T, token[:p].T, place
        )
    _set_sum(model, 0, a, b, s)
    _set_sum(model, 1, s, c, out)
    return model


def _set_sum(model: Any, layer: int, left: Tensor, right: Tensor, out: Tensor) -> None:
    """One neuron for each pair of values: on where both are there, and it writes their sum."""
    p, mlp = len(left), model.transformer.h[layer].mlp
    with torch.no_grad():
        for i in range(p):
            for j in range(p):
                mlp.c_fc.weight[:, p * i + j] = left[i] + right[j]
                mlp.c_proj.weight[p * i + j] = out[(i + j) % p]
        mlp.c_fc.bias.fill_(-1)


def rotate(model: Any, seed: int = 0) -> Tensor:
    """Turn the residual stream in place by a random rotation, which is returned: what was x is x @ rotation."""
    d = model.config.n_embd
    rotation = torch.linalg.qr(
        torch.randn(d, d, generator=torch.Generator().manual_seed(seed)).double()
    ).Q
    with torch.no_grad():
        for weight in (
            model.transformer.wte.weight,
            model.transformer.wpe.weight,
            model.lm_head.weight,
        ):
            weight.copy_(weight @ rotation)
        for block in model.transformer.h:
            for read in (block.attn.c_attn, block.mlp.c_fc):
                read.weight.copy_(rotation.T @ read.weight)
            for write in (block.attn.c_proj, block.mlp.c_proj):
                write.weight.copy_(write.weight @ rotation)
    return rotation
