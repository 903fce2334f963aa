"""What a subject's weights alone say: what a unit writes, and what a direction does to the logits.

Weights are read where they are: on another device than the embedding, or on disk (`placement`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import ArgumentError
from .address import Shape, Unit
from .architectures import Architecture, ModelModules, matrix, norm_scale, parameter
from .latents import Latents, latent_writes


class WeightAccess(Protocol):
    """The part of a subject that is read here."""

    @property
    def shape(self) -> Shape: ...
    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def architecture(self) -> Architecture: ...
    @property
    def parts(self) -> ModelModules: ...
    @property
    def directions(self) -> Mapping[int, Mapping[str, Float[Tensor, " d_model"]]]: ...
    @property
    def dictionaries(self) -> Mapping[str, Latents]: ...


def written_by(subject: WeightAccess, unit: Unit) -> Float[Tensor, " d_model"]:
    """`Subject.write_direction`."""
    column = subject.shape.column(unit)
    if unit.site == "head":
        raise ArgumentError(
            f"{str(unit)!r} is a head, which has no single write direction; "
            "give a neuron or direction"
        )
    if unit.site == "resid":
        return subject.directions[unit.layer][unit.name]
    if unit.site == "sae":
        of, one = subject.dictionaries[unit.name], slice(column, column + 1)
        return latent_writes(of, subject.parts.layers, subject.architecture, one)[0]
    layer = subject.parts.layers[unit.layer]
    written = matrix(layer.mlp_down)[:, column]
    if subject.architecture.normalises_writes:
        written = written * norm_scale(layer.mlp_write, subject.architecture.norm)
    return written


def unembedded(
    unembed: nn.Module, config: Any, final: Float[Tensor, "*rows d_model"], tokens: slice
) -> Float[Tensor, "*rows token"]:
    """`Subject.logits_of_final`."""
    weight, bias = parameter(unembed)[tokens], None
    if getattr(unembed, "bias", None) is not None:
        bias = parameter(unembed, "bias")[tokens]
    logits = nn.functional.linear(final.to(weight.device), weight, bias)
    cap = getattr(config, "final_logit_softcapping", None)
    return logits if not cap else cap * torch.tanh(logits / cap)


def logits_of_direction(
    subject: WeightAccess, residual_direction: Float[Tensor, "*rows d_model"]
) -> Float[Tensor, "*rows vocab"]:
    """`Subject.logits_of`."""
    weight = parameter(subject.parts.unembed)
    direction = residual_direction.to(weight.device, subject.dtype)
    if subject.architecture.norm == "layer":
        direction = direction - direction.mean(dim=-1, keepdim=True)
    scale = norm_scale(subject.parts.final_norm, subject.architecture.norm)
    return (direction * scale.to(weight.device)) @ weight.T


def head_factors(
    output: Float[Tensor, "head d_model head_dim"],
) -> Float[Tensor, "head head_dim head_dim"]:
    """R of each head's W_O^h = QR: with Q orthonormal |W_O^h z| = |R z|, and R has fewer rows."""
    return torch.linalg.qr(output.float().cpu(), mode="r").R.to(output.device)


def head_norms(
    z: Float[Tensor, "batch seq width"], factors: Float[Tensor, "head head_dim head_dim"]
) -> Float[Tensor, "batch seq head"]:
    """The norm of each head's output, from its z."""
    heads = z.float().unflatten(-1, (len(factors), -1))  # batch seq head head_dim
    return torch.einsum("bshk,hjk->bshj", heads, factors.to(z.device)).norm(dim=-1)
