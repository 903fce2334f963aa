"""An MLP's input in a form in which an error that is as large in all directions does little harm.

The neurons read the normalised stream times the norm's weight; the residual stream after the layer
follows from the normalised stream without it. An error in what the neurons read is lifted in the
stream wherever a weight is near 0, and one in the stream, with its few huge numbers, drowns what the
neurons read. In between, divided by a power of the weight, both bear it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor

from ...subject.architectures import norm_scale
from ...subject.subject import Subject

POWER = 0.75
"""Of the weight. On the default subject at 8 bits the worst neuron of the layers that were measured,
but for the last, correlates by 0.9997 with the true one, and the stream is off by 0.1 to 1.4 %; with
0.5 by up to 3 %, with 0 by up to 96 %."""
SMALLEST_WEIGHT = 1e-5
"""Of a norm's largest; what is weighted less is lost in the rounding of float32 anyway."""


def balanced(
    subject: Subject, layer: int, mlp_in: Float[Tensor, "*rows d_model"]
) -> Float[Tensor, "*rows d_model"]:
    """The input of a layer's MLP, divided by a power of its norm's weight; float32."""
    divisor, bias = _balance(subject, layer)
    return (mlp_in.float() - bias) / divisor


def unbalanced(
    subject: Subject, layer: int, values: Float[Tensor, "*rows d_model"]
) -> Float[Tensor, "*rows d_model"]:
    """The input of a layer's MLP from what `balanced` gave."""
    divisor, bias = _balance(subject, layer)
    return values * divisor + bias


class _Balance(NamedTuple):
    divisor: Float[Tensor, " d_model"]
    bias: Float[Tensor, " d_model"]


@torch.inference_mode()
def _balance(subject: Subject, layer: int) -> _Balance:
    norm: Any = subject.parts.layers[layer].mlp_norm
    if norm is None:
        ones = torch.ones(subject.d_model, device=subject.device)
        return _Balance(ones, torch.zeros_like(ones))
    weight = norm_scale(norm, subject.architecture.norm).float().abs()
    divisor = weight.clamp_min(SMALLEST_WEIGHT * float(weight.max())) ** POWER
    bias = cast("Tensor | None", getattr(norm, "bias", None))
    return _Balance(divisor, torch.zeros_like(divisor) if bias is None else bias.float())
