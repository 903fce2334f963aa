"""The latents of dictionaries as units of a subject.

A subject does not know where a dictionary comes from: it needs what `Latents` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, Self

import torch
from jaxtyping import Float
from torch import Tensor

from .address import Site
from .architectures import Architecture, Layer, matrix, norm_scale


class Scale(NamedTuple):
    """What normalised an input; the reconstruction is multiplied and shifted back by it."""

    factor: Float[Tensor, "*rows 1"]
    shift: Float[Tensor, "*rows 1"]


class Latents(Protocol):
    """The part of a dictionary that a subject uses; see `tools.dictionaries.Dictionary`."""

    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def reads(self) -> Site: ...
    @property
    def writes(self) -> Site: ...
    @property
    def n_latents(self) -> int: ...
    @property
    def encoder(self) -> Float[Tensor, "d_in latent"]: ...
    @property
    def decoder(self) -> Float[Tensor, "latent d_out"]: ...
    def encode(
        self, vectors: Float[Tensor, "*rows d_in"], latents: slice | Sequence[int] | None = None, /
    ) -> Float[Tensor, "*rows latent"]: ...
    def normalised(
        self, vectors: Float[Tensor, "*rows d_in"], /
    ) -> tuple[Float[Tensor, "*rows d_in"], Scale | None]: ...
    def to(self, device: torch.device, /) -> Self: ...


def latent_writes(
    latents: Latents,
    layers: Sequence[Layer],
    architecture: Architecture,
    which: slice = slice(None),
) -> Float[Tensor, "latent d_model"]:
    """What each latent of a dictionary, at an activation of 1, adds to the residual stream.

    Args:
        layers: of the subject, with its architecture.
    """
    rows, site = latents.decoder[which], latents.writes
    if site.kind not in ("mlp", "z"):
        return rows
    layer = layers[site.layer]
    output = matrix(layer.mlp_down if site.kind == "mlp" else layer.attention_out)
    written = rows @ output.T.float()
    if site.kind == "mlp" and architecture.normalises_writes:
        written = written * norm_scale(layer.mlp_write, architecture.norm)
    return written
