"""A dictionary whose latents are known: each reads what one planted unit writes to the residual stream.

1. Planted units with `writes` add a known direction, times a known activation, to the stream after
   their layer. W has these directions as columns.
2. Of all encoders E with E^T W = 1 (each latent reads its own unit and none of the others) take the
   one that picks up least of everything else: E = C^-1 W (W^T C^-1 W)^-1, with C the covariance of
   the stream without planted units (a matched filter: Capon 1969; Frost 1972).
3. Biases take out the stream's mean. A JumpReLU's threshold is half the unit's smallest strength. So
   a latent's activation is the planted one, plus little, and its truth is known at every token.
4. Two controls. Random: random directions, with thresholds at which each fires as often as the latent
   that it replaces. Permuted: the same encoder, and decoder rows of other latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..tools.dictionaries.activations import JumpRelu
from ..tools.dictionaries.dictionary import Dictionary
from ..tools.errors import UsageError
from ..tools.subject.address import Site, Unit
from ..tools.subject.planted_units.planted_subject import PlantedSubject
from ..tools.subject.planted_units.unit_writes import UnitWrites

RIDGE = 1e-3
"""Of the mean variance of a coordinate, added to all: keeps the covariance invertible where the text
has fewer tokens than the stream has dimensions."""


class LatentTruth(NamedTuple):
    """How a latent compares with the unit that it reads, over tokens.

    Attributes:
        precision, recall: of its firing where the unit is active; None without any.
        r: of its activation with the unit's noiseless one.
    """

    unit: str
    precision: float | None
    recall: float | None
    r: float


def writing_units(subject: PlantedSubject, layer: int) -> list[Unit]:
    """The planted units of a layer that write to the stream and are never negative, in order.

    Raises:
        UsageError: there is none.
    """
    units = [
        unit
        for unit, planted in sorted(subject.suite_unit_at.items())
        if unit.layer == layer
        and planted.parts
        and all(part.writes and part.side == "+" for part in planted.parts)
    ]
    if not units:
        raise UsageError(
            f"no planted unit of layer {layer} writes to the stream on one side; give units whose "
            "parts all have `writes` and the side +"
        )
    return units


def planted_dictionary(
    subject: PlantedSubject,
    units: Sequence[Unit],
    natural: Float[Tensor, "row d_model"],
    name: str = "planted",
) -> Dictionary:
    """A dictionary with a latent for each of some writing units of one layer.

    Args:
        natural: the stream after their layer on some text, without planted units.
    """
    layer = units[0].layer
    written = UnitWrites(subject.base, subject.suite_unit_at, subject.texts)
    directions = torch.stack([written.mean(unit) for unit in units], dim=1).double()
    centred = natural.double() - natural.double().mean(dim=0)
    covariance = centred.T @ centred / len(centred)
    covariance += RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance))
    filtered = torch.linalg.solve(covariance, directions)  # 2.
    encoder = filtered @ torch.linalg.inv(directions.T @ filtered)
    weakest = torch.tensor([subject.suite_unit_at[unit].weakest for unit in units])
    return Dictionary(
        name=name,
        reads=Site("stream", layer),
        writes=Site("stream", layer),
        encoder=encoder.float(),
        encoder_bias=-(natural.double().mean(dim=0) @ encoder).float(),
        decoder=directions.T.float().contiguous(),
        decoder_bias=natural.mean(dim=0),
        activation=JumpRelu(weakest / 2),
        subtracts_bias=False,
        model=subject.name,
    )


def random_dictionary(
    planted: Dictionary, vectors: Float[Tensor, "row d_model"], seed: int = 0
) -> Dictionary:
    """Random directions that fire as often as the planted latents on some vectors."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(planted.encoder.shape, generator=generator)
    encoder = drawn / drawn.norm(dim=0)
    centred = vectors - vectors.mean(dim=0)
    rates = (planted.encode(vectors) > 0).float().mean(dim=0)
    pre = centred @ encoder
    cuts = [pre[:, i].quantile(1 - rate) for i, rate in enumerate(rates)]
    return replace(
        planted,
        name=f"{planted.name}-random",
        encoder=encoder,
        encoder_bias=-(vectors.mean(dim=0) @ encoder),
        decoder=encoder.T.contiguous(),
        activation=JumpRelu(torch.stack(cuts).clamp_min(0)),
    )


def permuted_decoder(planted: Dictionary, seed: int = 0) -> Dictionary:
    """The same latents, each with the decoder row of another."""
    order = np.random.default_rng(seed).permutation(planted.n_latents)
    after = np.empty_like(order)
    after[order] = np.roll(order, 1)  # one cycle, so that none keeps its own
    return replace(
        planted,
        name=f"{planted.name}-permuted",
        decoder=planted.decoder[torch.from_numpy(after)],
    )


def compare_with_truth(
    units: Sequence[str],
    activations: Float[Tensor, "row latent"],
    truth: Float[Tensor, "row latent"],
) -> list[LatentTruth]:
    """How well each latent's activations follow its unit's noiseless ones."""
    compared: list[LatentTruth] = []
    for number, unit in enumerate(units):
        ours, theirs = activations[:, number].double(), truth[:, number].double()
        fires, is_active = ours > 0, theirs > 0
        both = int((fires & is_active).sum())
        r = float(torch.corrcoef(torch.stack([ours, theirs]))[0, 1].nan_to_num(0))
        compared.append(LatentTruth(unit, _share(both, fires), _share(both, is_active), r))
    return compared


def _share(count: int, of: Bool[Tensor, " row"]) -> float | None:
    total = int(of.sum())
    return count / total if total else None
