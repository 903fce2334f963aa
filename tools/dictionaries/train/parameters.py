"""The tensors of a dictionary in training, how they begin, and the dictionary that they are.

1. Inputs and targets are divided by a scale each, so that their squared length is the number of
   their dimensions on average. With both in one scale an autoencoder has one.
2. Decoder rows begin as random directions of unit length, and an autoencoder's encoder rows as the
   same (Gao et al.). Both are rows here, one for each latent.
3. The decoder's bias begins as the geometric median of the targets, which a few huge vectors do not
   move (Bricken et al., "Towards Monosemanticity", 2023). A transcoder's encoder bias begins so that
   pre-activations are 0 at the inputs' median.
4. The finished dictionary reads and writes unscaled vectors: the scales are multiplied into the
   encoder and the biases, and decoder rows keep their unit length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..activations import TopKRelu
from ..dictionary import Dictionary
from .settings import TrainSettings

MEDIAN_STEPS = 100
MEDIAN_TOLERANCE = 1e-6
"""Of the median's own length; reached within 20 steps on the default subject."""


class Scales(NamedTuple):
    """What inputs and targets are divided by."""

    reads: float
    writes: float


@dataclass
class Parameters:
    """What is trained, in scaled vectors."""

    encoder: Float[Tensor, "latent d_in"]
    encoder_bias: Float[Tensor, " latent"]
    decoder: Float[Tensor, "latent d_out"]
    decoder_bias: Float[Tensor, " d_out"]

    def named(self) -> dict[str, Tensor]:
        """The tensors by name, always in the same order."""
        return dict(vars(self))


def initial_parameters(
    settings: TrainSettings,
    inputs: Float[Tensor, "row d_in"],
    targets: Float[Tensor, "row d_out"],
) -> Parameters:
    """The tensors before the first step, from scaled vectors."""
    generator = torch.Generator().manual_seed(settings.seed)
    device = inputs.device

    def directions(width: int) -> Tensor:
        drawn = torch.randn(settings.latents, width, generator=generator)
        return (drawn / drawn.norm(dim=1, keepdim=True)).to(device)

    decoder = directions(targets.shape[1])
    encoder = directions(inputs.shape[1]) if settings.is_transcoder else decoder.clone()
    bias = torch.zeros(settings.latents, device=device)
    if settings.is_transcoder:
        bias = -encoder @ geometric_median(inputs)
    return Parameters(encoder, bias, decoder, geometric_median(targets))


def scale_of(vectors: Float[Tensor, "row width"]) -> float:
    """The root mean square of the vectors' numbers; 1 for vectors of zeros."""
    return float(vectors.square().mean().sqrt()) or 1.0


def geometric_median(vectors: Float[Tensor, "row width"]) -> Float[Tensor, " width"]:
    """The point with the smallest sum of distances to the vectors (Weiszfeld's algorithm)."""
    median = vectors.mean(dim=0)
    for _ in range(MEDIAN_STEPS):
        distance = (vectors - median).norm(dim=1).clamp_min(1e-12)
        weight = 1 / distance
        moved = (weight @ vectors) / weight.sum()
        if (moved - median).norm() <= MEDIAN_TOLERANCE * moved.norm():
            return moved
        median = moved
    return median


def as_dictionary(
    name: str, settings: TrainSettings, parameters: Parameters, scales: Scales, model: str
) -> Dictionary:
    """The dictionary of unscaled vectors."""
    p, factor = parameters, scales.reads / scales.writes
    return Dictionary(
        name=name,
        reads=settings.reads,
        writes=settings.writes,
        encoder=(p.encoder.T / factor).contiguous(),
        encoder_bias=p.encoder_bias * scales.writes,
        decoder=p.decoder.clone(),
        decoder_bias=p.decoder_bias * scales.writes,
        activation=TopKRelu(settings.k),
        subtracts_bias=not settings.is_transcoder,
        model=model,
    )
