"""Small random dictionaries of the tiny subject."""

from __future__ import annotations

from typing import Literal

import torch

from hubel.tools.dictionaries.activations import Activation, Gated, JumpRelu, Relu, TopKRelu
from hubel.tools.dictionaries.dictionary import Dictionary
from hubel.tools.subject.address import Site
from hubel.tools.subject.attach_latents import vector_width
from hubel.tools.subject.subject import Subject

AFTER_LAYER_1 = Site("stream", 1)
ActivationName = Literal["relu", "topk", "jumprelu", "gated"]


def random_dictionary(
    subject: Subject,
    name: str = "random",
    reads: Site = AFTER_LAYER_1,
    writes: Site | None = None,
    *,
    n_latents: int = 40,
    activation: ActivationName = "jumprelu",
    threshold: float = 1.0,
    seed: int = 0,
) -> Dictionary:
    """A dictionary of random directions, which fire at a fraction of the tokens."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    writes = writes or reads
    d_in, d_out = vector_width(subject, reads), vector_width(subject, writes)
    encoder = draw(d_in, n_latents) / d_in**0.5
    activations: dict[ActivationName, Activation] = {
        "relu": Relu(),
        "topk": TopKRelu(3),
        "jumprelu": JumpRelu(torch.full((n_latents,), threshold)),
        "gated": Gated(draw(n_latents) - threshold, draw(n_latents), draw(n_latents) / 4),
    }
    return Dictionary(
        name,
        reads,
        writes,
        encoder,
        torch.zeros(n_latents) if activation == "gated" else draw(n_latents) / 4,
        draw(n_latents, d_out) / d_out**0.5,
        draw(d_out) / 4,
        activations[activation],
        subtracts_bias=writes == reads,
        normalisation="constant_norm",
    )
