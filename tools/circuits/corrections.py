"""AtP* (Kramár et al. 2024): two corrections for what attribution patching misses.

1. Saturated attention. A query or key moves the softmax, whose gradient may vanish while its step does not. So the
   attention is run again with the corrupted queries (or keys) and the change of z is multiplied with the gradient.
   A head's z depends on its own query alone, so that one run does all queries of a layer; likewise all keys and values.
2. Cancellation of direct and indirect effects (GradDrop). The gradient is taken once for each layer with that layer's
   writes held constant; a head's score is the mean size over these, times L / (L - 1).

Both cost more than plain attribution: the first three attention runs a layer, the second a backward pass a layer.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from ..subject.architectures import first_tensor
from .prompts import PromptPairs
from .recording import Recording, differentiate, record
from .wiring import CircuitModel, Hooks, hooks

Part = Literal["q", "k", "v"]


def through_softmax(model: CircuitModel, pairs: PromptPairs, part: Part) -> Float[Tensor, "pairs layer head"]:
    """Effect of patching each head's query (or the key or value it reads), with the softmax computed anew."""
    twin = record(model, pairs.corrupted, pairs.logit_difference)
    calls: dict[int, tuple[tuple[Any, ...], dict[str, Any]]] = {}

    def keep(layer: int, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls[layer] = (args, kwargs)

    def prepare(put: Hooks) -> None:
        for layer, module in enumerate(_attentions(model)):
            put.calling(module, partial(keep, layer))

    clean, gradients = differentiate(model, pairs.clean, pairs.logit_difference, prepare=prepare)
    found = [
        (_z_with(model, layer, twin, part, *calls[layer]) - clean.z[layer]) * gradients.z[layer]
        for layer in range(model.graph.n_layers)
    ]
    return torch.stack(found, dim=1).unflatten(-1, (model.graph.n_heads, -1)).sum((2, 4))


def grad_drop(model: CircuitModel, pairs: PromptPairs) -> Float[Tensor, "layer head"]:
    """Size of each head's effect, the gradient averaged over dropping one layer at a time.

    Raises:
        UsageError: the model has one layer, whose gradient cannot be dropped.
    """
    n_layers = model.graph.n_layers
    if n_layers < 2:
        raise UsageError("a model of one layer given; GradDrop leaves one layer out and needs two or more")
    twin = record(model, pairs.corrupted, pairs.logit_difference)
    total = torch.zeros(n_layers, model.graph.n_heads, device=model.subject.device)
    for dropped in range(n_layers):
        parts = model.subject.parts.layers[dropped]

        def hold(put: Hooks, parts: Any = parts) -> None:
            put.leaving(parts.attention_write, lambda value: value.detach())
            put.leaving(parts.mlp_write, lambda value: value.detach())

        clean, gradients = differentiate(model, pairs.clean, pairs.logit_difference, prepare=hold)
        effects = [(twin.z[i] - clean.z[i]) * gradients.z[i] for i in range(n_layers)]
        heads = torch.stack(effects, dim=1).unflatten(-1, (model.graph.n_heads, -1)).sum((2, 4))
        total += heads.mean(0).abs()
    return total / (n_layers - 1)  # mean over L passes, times L / (L - 1)


def _attentions(model: CircuitModel) -> list[torch.nn.Module]:
    return [parts.attention_write for parts in model.subject.parts.layers]


@torch.no_grad()
def _z_with(
    model: CircuitModel, layer: int, twin: Recording, part: Part, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Float[Tensor, "pairs seq width"]:
    """z of a layer whose queries, keys or values come from the twin, the rest from the call given."""
    graph, found = model.graph, list[Tensor]()
    bounds = {"q": (0, graph.n_heads), "k": (graph.n_heads, graph.n_heads + graph.n_kv_heads)}
    first, last = bounds.get(part, (graph.n_heads + graph.n_kv_heads, graph.attention_width))

    def replace(index: int, value: Tensor) -> Tensor:
        new = value.clone()
        for slot in model.slots[first:last]:
            if slot.module == index:
                new[..., slot.rows] = twin.projected[layer, index][..., slot.rows]
        return new

    with hooks() as put:
        for index, module in enumerate(model.joints[layer].projections):
            put.leaving(module, partial(replace, index))
        put.entering(model.subject.parts.layers[layer].attention_out, found.append)
        first_tensor(_attentions(model)[layer](*args, **kwargs))
    return found[0]
