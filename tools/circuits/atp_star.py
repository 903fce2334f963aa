"""AtP* (Kramár et al. 2024): two corrections for what attribution patching misses.

1. Saturated attention. A query or key moves the softmax, whose gradient may vanish while its step
   does not. So the attention is run again with the corrupted queries (or keys) and the change of z
   is multiplied with the gradient. A head's z depends on its own query alone, so that one run does
   all queries of a layer; likewise all keys and values.
2. Cancellation of direct and indirect effects (GradDrop). The gradient is taken once for each layer
   with that layer's writes held constant; a head's score is the mean size over these, times L / (L
   - 1).

Both cost more than plain attribution: the first three attention runs a layer, the second a backward
pass a layer. `corrected_edges` does both for edges.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from .circuit_model import CircuitModel
from .forward_record import differentiate, record
from .hooks import Hooks, hooks
from .prompts import PromptPairs

Part = Literal["q", "k", "v"]


def through_softmax(
    model: CircuitModel, pairs: PromptPairs, part: Part
) -> Float[Tensor, "pairs layer head"]:
    """Effect of patching each head's query (or the key or value it reads), with the softmax computed anew."""
    twin = record(model, pairs.corrupted, pairs.logit_difference)
    calls = AttentionCalls(model)
    clean, gradients = differentiate(model, pairs.clean, pairs.logit_difference, prepare=calls.keep)

    def change(layer: int) -> Float[Tensor, "pairs seq width"]:
        values = torch.stack(
            [twin.projected[layer, slot.module][..., slot.rows] for slot in model.slots]
        )
        return calls.z_with(layer, part, values) - clean.z[layer]

    found = [change(layer) * gradients.z[layer] for layer in range(model.graph.n_layers)]
    return torch.stack(found, dim=1).unflatten(-1, (model.graph.n_heads, -1)).sum((2, 4))


def grad_drop(model: CircuitModel, pairs: PromptPairs) -> Float[Tensor, "layer head"]:
    """Size of each head's effect, the gradient averaged over dropping one layer at a time.

    Raises:
        UsageError: the model has one layer, whose gradient cannot be dropped.
    """
    n_layers = model.graph.n_layers
    if n_layers < 2:
        raise UsageError(
            "a model of one layer given; GradDrop leaves one layer out and needs two or more"
        )
    twin = record(model, pairs.corrupted, pairs.logit_difference)
    total = torch.zeros(n_layers, model.graph.n_heads, device=model.subject.device)
    for dropped in range(n_layers):
        clean, gradients = differentiate(
            model, pairs.clean, pairs.logit_difference, prepare=dropping(model, dropped)
        )
        effects = [(twin.z[i] - clean.z[i]) * gradients.z[i] for i in range(n_layers)]
        heads = torch.stack(effects, dim=1).unflatten(-1, (model.graph.n_heads, -1)).sum((2, 4))
        total += heads.mean(0).abs()
    return total / (n_layers - 1)  # mean over L passes, times L / (L - 1)


def dropping(model: CircuitModel, layer: int) -> Callable[[Hooks], None]:
    """Hooks that hold constant what a layer writes, so that no gradient runs through it."""
    parts = model.subject.parts.layers[layer]

    def hold(put: Hooks) -> None:
        put.leaving(parts.attention_write, lambda value: value.detach())
        put.leaving(parts.mlp_write, lambda value: value.detach())

    return hold


class AttentionCalls:
    """Each layer's attention as it was called in a pass, to be run again with other queries, keys or values."""

    def __init__(self, model: CircuitModel) -> None:
        self._model = model
        self._modules = [parts.attention_write for parts in model.subject.parts.layers]
        self._calls: dict[int, tuple[tuple[Any, ...], dict[str, Any]]] = {}

    def keep(self, put: Hooks) -> None:
        """Put the hooks that remember the calls."""

        def remember(
            layer: int, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> None:
            self._calls[layer] = (args, kwargs)

        for layer, module in enumerate(self._modules):
            put.calling(module, partial(remember, layer))

    @torch.no_grad()
    def z_with(
        self, layer: int, part: Part, values: Float[Tensor, "slot pairs seq head_dim"]
    ) -> Float[Tensor, "pairs seq width"]:
        """z of a layer whose queries, keys or values are given by slot (those of other parts go unused)."""
        model, found = self._model, list[Tensor]()
        heads, kv = model.graph.n_heads, model.graph.n_kv_heads
        bounds = {"q": (0, heads), "k": (heads, heads + kv), "v": (heads + kv, heads + 2 * kv)}
        slots = range(*bounds[part])

        def replace(module: int, value: Tensor) -> Tensor:
            new = value.clone()
            for index in slots:
                if model.slots[index].module == module:
                    new[..., model.slots[index].rows] = values[index]
            return new

        args, kwargs = self._calls[layer]
        with hooks() as put:
            for index, module in enumerate(model.joints[layer].projections):
                put.leaving(module, partial(replace, index))
            put.entering(model.subject.parts.layers[layer].attention_out, found.append)
            self._modules[layer](*args, **kwargs)
        return found[0]
