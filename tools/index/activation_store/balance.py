"""An MLP's input in a form in which an error that is as large in all directions does little harm.

The neurons read the normalised stream times the norm's weight; the residual stream after the layer
follows from the normalised stream without it. An error in what the neurons read is lifted in the
stream wherever a weight is near 0, and one in the stream, with its few huge numbers, drowns what the
neurons read. Midway, divided by the root of the weight, both bear it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor

from ...subject.architectures import norm_scale
from ...subject.subject import Subject

SMALLEST_WEIGHT = 1e-5
"""Of a norm's largest; what is weighted less is lost in the rounding of float32 anyway."""


def balanced(
    subject: Subject, layer: int, mlp_in: Float[Tensor, "*rows d_model"]
) -> Float[Tensor, "*rows d_model"]:
    """The input of a layer's MLP, divided by the root of its norm's weight; float32."""
    root, bias = _root_and_bias(subject, layer)
    return (mlp_in.float() - bias) / root


def unbalanced(
    subject: Subject, layer: int, values: Float[Tensor, "*rows d_model"]
) -> Float[Tensor, "*rows d_model"]:
    """The input of a layer's MLP from what `balanced` gave."""
    root, bias = _root_and_bias(subject, layer)
    return values * root + bias


class _RootAndBias(NamedTuple):
    root: Float[Tensor, " d_model"]
    bias: Float[Tensor, " d_model"]


@torch.inference_mode()
def _root_and_bias(subject: Subject, layer: int) -> _RootAndBias:
    norm: Any = subject.parts.layers[layer].mlp_norm
    if norm is None:
        ones = torch.ones(subject.d_model, device=subject.device)
        return _RootAndBias(ones, torch.zeros_like(ones))
    weight = norm_scale(norm, subject.architecture.norm).float().abs()
    root = weight.clamp_min(SMALLEST_WEIGHT * float(weight.max())).sqrt()
    bias = cast("Tensor | None", getattr(norm, "bias", None))
    return _RootAndBias(root, torch.zeros_like(root) if bias is None else bias.float())
