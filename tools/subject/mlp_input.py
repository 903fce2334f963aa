"""What follows from the input of a layer's MLP, without running the model.

A neuron is a function of one vector, the normalised residual stream that its MLP reads: gate and up
rows, the nonlinearity, and their product. The stream itself follows too, given the numbers that the
norm divided and subtracted (`norm_statistics`):

    stream before the MLP = (input - bias) / weight x scale + mean
    stream after the layer = stream before the MLP + what the MLP writes

The second line holds in families that run attention and MLP one after the other. All of it is
computed in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .architectures import Architecture, Layer, columns_of, matrix, norm_scale, parameter


@torch.inference_mode()
def neurons(
    architecture: Architecture,
    layer: Layer,
    mlp_in: Float[Tensor, "*rows d_model"],
    columns: Sequence[int] | None = None,
) -> Float[Tensor, "*rows column"]:
    """Raw activations of a layer's neurons, all or some, from its MLP's input; float32."""
    width = columns_of(layer.mlp_down)
    chosen = None if columns is None else torch.tensor(list(columns), device=mlp_in.device)
    if architecture.fused:  # one projection, the gate's rows first
        (module,) = layer.mlp_rows
        if chosen is None:
            gate, up = _project(module, mlp_in, None).split(width, dim=-1)
        else:
            gate, up = (_project(module, mlp_in, chosen + start) for start in (0, width))
    else:
        gate, *rest = (_project(module, mlp_in, chosen) for module in layer.mlp_rows)
        up = rest[0] if rest else None
    activated = cast(Tensor, layer.activation(gate))
    return activated if up is None else activated * up


def _project(
    module: nn.Module, vectors: Float[Tensor, "*rows d_model"], rows: Tensor | None
) -> Float[Tensor, "*rows row"]:
    weight, bias = matrix(module), None
    if getattr(module, "bias", None) is not None:
        bias = parameter(module, "bias")
    if rows is not None:
        weight, bias = weight[rows], None if bias is None else bias[rows]
    return nn.functional.linear(
        vectors.to(weight.device).float(), weight.float(), None if bias is None else bias.float()
    )


@torch.inference_mode()
def mlp_write(
    architecture: Architecture, layer: Layer, mlp_in: Float[Tensor, "*rows d_model"]
) -> Float[Tensor, "*rows d_model"]:
    """What the layer's MLP adds to the residual stream, from its input; float32."""
    written = _project(layer.mlp_down, neurons(architecture, layer, mlp_in), None)
    if architecture.normalises_writes:  # a norm of the MLP's output
        written = layer.mlp_write(written.to(cast(Tensor, layer.mlp_down.weight).dtype)).float()
    return written


def norm_statistics(
    architecture: Architecture,
    layer: Layer,
    mid: Float[Tensor, "*rows d_model"],
    mlp_in: Float[Tensor, "*rows d_model"],
) -> Float[Tensor, "*rows statistic"]:
    """What the MLP's norm took out of the stream `mid`: its scale, and for a LayerNorm its mean."""
    direction = _without_weight(architecture, layer, mlp_in)
    centred = mid.to(direction.device).float()
    mean = centred.mean(dim=-1, keepdim=True)
    if architecture.norm == "layer":
        centred = centred - mean
    squares = (direction * direction).sum(dim=-1, keepdim=True).clamp_min(1e-30)
    scale = (centred * direction).sum(dim=-1, keepdim=True) / squares
    return torch.cat([scale, mean], dim=-1) if architecture.norm == "layer" else scale


def stream_after(
    architecture: Architecture,
    layer: Layer,
    mlp_in: Float[Tensor, "*rows d_model"],
    statistics: Float[Tensor, "*rows statistic"],
) -> Float[Tensor, "*rows d_model"]:
    """The residual stream after the layer, where attention and MLP run one after the other."""
    direction = _without_weight(architecture, layer, mlp_in)
    statistics = statistics.to(direction.device)
    mid = direction * statistics[..., :1]
    if architecture.norm == "layer":
        mid = mid + statistics[..., 1:]
    return mid + mlp_write(architecture, layer, mlp_in)


def _without_weight(
    architecture: Architecture, layer: Layer, mlp_in: Float[Tensor, "*rows d_model"]
) -> Float[Tensor, "*rows d_model"]:
    """The normalised stream before the norm's weight and bias; not finite where a weight is 0."""
    norm: Any = layer.mlp_norm
    scale = norm_scale(norm, architecture.norm).float()
    centred = mlp_in.to(scale.device).float()
    if getattr(norm, "bias", None) is not None:
        centred = centred - parameter(norm, "bias").float()
    return centred / scale
