"""What each source token adds to a head's z, exactly, since z is linear in the values.

The layer's attention runs once more as a batch with one row for each source token, in which only
that token's value is left.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ...circuits.circuit_model import CircuitModel


class AttentionCall(NamedTuple):
    """The arguments that a layer's attention was called with."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def z_by_source(
    model: CircuitModel, layer: int, call: AttentionCall, n_tokens: int, position: int
) -> Float[Tensor, "source width"]:
    """What each source token adds to a layer's z at a position, all heads side by side."""
    import torch

    from ...circuits.hooks import temporary_hooks

    parts = model.subject.parts.layers[layer]
    first_value = model.graph.n_heads + model.graph.n_kv_heads  # after the queries and the keys
    own_source = torch.eye(n_tokens, dtype=torch.bool)[..., None]  # row source 1
    z: list[Tensor] = []

    def keep_own_source(module: int, output: Tensor) -> Tensor:
        masked = output.clone()
        for value in model.qkv_slices[first_value:]:
            if value.module == module:
                masked[..., value.rows] = masked[..., value.rows] * own_source
        return masked

    def for_each_source(argument: Any) -> Any:
        is_stream = isinstance(argument, torch.Tensor) and argument.ndim == 3
        return argument.repeat(n_tokens, 1, 1) if is_stream else argument

    kwargs = dict(call.kwargs)
    if "hidden_states" in kwargs:
        kwargs["hidden_states"] = for_each_source(kwargs["hidden_states"])
    with temporary_hooks() as hooks, torch.no_grad():
        for index, module in enumerate(model.readers[layer].projections):
            hooks.on_output(module, partial(keep_own_source, index))
        hooks.on_input(parts.attention_out, z.append)
        parts.attention_write(*map(for_each_source, call.args), **kwargs)
    return z[0][:, position]
