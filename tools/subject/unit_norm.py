"""A named direction of the residual stream, checked and of length 1."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError


def unit_norm(
    vector: Float[Tensor, " d_model"], layer: int, name: str, *, n_layers: int, d_model: int
) -> Float[Tensor, " d_model"]:
    """The direction in float32.

    Raises:
        UsageError: there is no such layer, or the vector is not a direction of its stream.
    """
    if not 0 <= layer < n_layers:
        raise UsageError(
            f"direction {name!r} is at layer {layer}; the subject has layers 0 to {n_layers - 1}"
        )
    if vector.shape != (d_model,) or not vector.norm() > 0 or not vector.isfinite().all():
        raise UsageError(
            f"direction resid.{layer}@{name} has shape {tuple(vector.shape)}; "
            f"expected a finite vector of {d_model} numbers, not all zero"
        )
    return vector.float() / vector.float().norm()
