"""What each neuron of a layer writes to the residual stream, and what it reads from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ..subject import Subject


def write_directions(subject: Subject, layer: int) -> Float[Tensor, "neuron d_model"]:
    """What a neuron adds to the stream at an activation of one (before a post-norm: up to a factor)."""
    from ..subject.architectures import matrix, norm_scale

    parts, family = subject.parts.layers[layer], subject.architecture
    columns = matrix(parts.mlp_down).T
    if not family.normalises_writes:
        return columns
    return columns * norm_scale(parts.mlp_write, family.norm)


def read_directions(subject: Subject, layer: int) -> tuple[Float[Tensor, "neuron d_model"], ...]:
    """What a neuron reads from the normed stream: (gate, up), or one matrix in an MLP without a gate."""
    from ..subject.architectures import matrix

    rows = tuple(matrix(module) for module in subject.parts.layers[layer].mlp_rows)
    return rows[0].chunk(2) if subject.architecture.fused else rows
