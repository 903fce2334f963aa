"""Attribution patching: the effect of patching every head, neuron and edge at once, to first order.

    effect of patching x = m(clean run, x from the corrupted twin) - m(clean run) ~ (x corrupted - x clean) . dm/dx

1. One pass of the corrupted prompts leaves what every source wrote, one pass of the clean ones with one backward pass
   the gradients (Nanda 2023; Syed et al. 2023, EAP).
2. Gradients are taken where queries, keys and values leave their projections, and led back to each target's own reading
   of the stream: W^T g, then the norm's vector-Jacobian product. So grouped key-value heads stay one node each.
3. One matrix product of all sources' changes with all targets' gradients gives all edges.
4. Integrated gradients: `inputs` averages the gradients along the way from clean to corrupted embeddings (Hanna et al.
   2024, EAP-IG inputs); `activations` moves one layer's sources at a time (Marks et al. 2024), which costs a backward
   pass a layer and step.

These are estimates and rankings. `verification` measures the top of them, and a random sample, exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from .prompts import PromptPairs
from .recording import Gradients, Recording, differentiate, record
from .wiring import CircuitModel, Hooks


@dataclass(frozen=True, eq=False)
class Attribution:
    """Estimated effects of patching from the corrupted twin, by pair; negative: the part helps the clean answer."""

    heads: Float[Tensor, "pairs layer head"]
    neurons: Float[Tensor, "pairs layer neuron"]
    edges: Float[Tensor, "pairs source target"]

    def edge_scores(self) -> Float[Tensor, "source target"]:
        """Mean over the pairs."""
        return self.edges.mean(0)


def attribute(model: CircuitModel, pairs: PromptPairs, steps: int = 1) -> Attribution:
    """Estimate the effect of every head, neuron and edge; `steps` > 1 integrates along the embeddings (EAP-IG inputs).

    One step is plain attribution patching: the gradient at the clean prompt.
    """
    metric = pairs.logit_difference
    twin = record(model, pairs.corrupted, metric)
    clean = record(model, pairs.clean, metric) if steps > 1 else None
    total: tuple[Tensor, ...] = ()
    for share in _shares(steps):
        mixed = None if clean is None else _mixed(clean, twin, share)
        at, gradients = differentiate(model, pairs.clean, metric, embedding=mixed)
        found = _scores(model, clean or at, twin, at, gradients)
        total = tuple(one + two for one, two in zip(total, found, strict=True)) if total else found
    return Attribution(*(value / steps for value in total))


def _shares(steps: int) -> list[float]:
    """Points of the way from clean to corrupted: the clean end alone, or midpoints of equal steps."""
    return [0.0] if steps == 1 else [(step + 0.5) / steps for step in range(steps)]


def _mixed(clean: Recording, twin: Recording, share: float) -> Float[Tensor, "pairs seq d_model"]:
    assert clean.embedding is not None  # recorded by both passes
    assert twin.embedding is not None
    return clean.embedding + share * (twin.embedding - clean.embedding)


def attribute_activations(
    model: CircuitModel, pairs: PromptPairs, steps: int = 5
) -> Float[Tensor, "pairs source target"]:
    """Edges by EAP-IG activations: each layer's heads, each MLP and the input move from clean to corrupted in turn."""
    metric, graph = pairs.logit_difference, model.graph
    twin = record(model, pairs.corrupted, metric)
    clean = record(model, pairs.clean, metric)
    changes = source_changes(model, clean, twin)
    total = changes.new_zeros(len(pairs), *graph.possible.shape)
    groups = [
        ("input", 0, slice(0, 1)),
        *(("z", layer, _head_sources(model, layer)) for layer in range(graph.n_layers)),
        *(("mlp", layer, _mlp_source(model, layer)) for layer in range(graph.n_layers)),
    ]
    for kind, layer, sources in groups:
        for share in _shares(steps):
            prepare = partial(_move, model, clean, twin, kind, layer, share)
            at, gradients = differentiate(model, pairs.clean, metric, prepare=prepare)
            total[:, sources] += edges_from(changes[sources], target_gradients(model, at, gradients)) / steps
    return total * graph.possible.to(total.device)


def _move(
    model: CircuitModel, clean: Recording, twin: Recording, kind: str, layer: int, share: float, put: Hooks
) -> None:
    parts = model.subject.parts.layers[layer]
    if kind == "input":
        put.leaving(
            model.subject.model.get_input_embeddings(),
            lambda value: value + (_mixed(clean, twin, share) - value).detach(),
        )
    elif kind == "z":
        put.entering(parts.attention_out, lambda value: value + share * (twin.z[layer] - clean.z[layer]))
    else:
        put.leaving(parts.mlp_write, lambda value: value + share * (twin.mlp[layer] - clean.mlp[layer]))


def _scores(
    model: CircuitModel, clean: Recording, twin: Recording, at: Recording, gradients: Gradients
) -> tuple[Tensor, Tensor, Tensor]:
    """Heads, neurons and edges: changes from clean to twin, gradients taken at `at`."""
    layers = range(model.graph.n_layers)
    heads = torch.stack([(twin.z[i] - clean.z[i]) * gradients.z[i] for i in layers], dim=1)
    heads = heads.unflatten(-1, (model.graph.n_heads, -1)).sum((2, 4))
    neurons = torch.stack([((twin.neurons[i] - clean.neurons[i]) * gradients.neurons[i]).sum(1) for i in layers], dim=1)
    edges = edges_from(source_changes(model, clean, twin), target_gradients(model, at, gradients))
    return heads, neurons, edges * model.graph.possible.to(edges.device)


def source_changes(model: CircuitModel, clean: Recording, twin: Recording) -> Float[Tensor, "source pairs seq d_model"]:
    """What each source writes in the twin, less what it writes in the clean run."""
    found = [(twin.stream[0] - clean.stream[0])[None]]
    for layer in range(model.graph.n_layers):
        found += [
            model.writes(layer, twin.z[layer] - clean.z[layer]),
            (twin.mlp[layer] - clean.mlp[layer])[None],
        ]
    return torch.cat(found)


def edges_from(
    changes: Float[Tensor, "source pairs seq d_model"], gradients: Float[Tensor, "target pairs seq d_model"]
) -> Float[Tensor, "pairs source target"]:
    """Every source's change times every target's gradient, pairs without an edge included."""
    return changes.transpose(0, 1).flatten(2) @ gradients.transpose(0, 1).flatten(2).transpose(1, 2)


def target_gradients(
    model: CircuitModel, at: Recording, gradients: Gradients
) -> Float[Tensor, "target pairs seq d_model"]:
    """d metric / d (what each target reads of the stream)."""
    return torch.cat([*_by_layer(model, at, gradients), gradients.logits[None]])


def _by_layer(model: CircuitModel, at: Recording, gradients: Gradients) -> Iterator[Tensor]:
    for layer, joints in enumerate(model.joints):
        weights, _ = model.projection(layer)
        projected = torch.stack([gradients.projected[layer, slot.module][..., slot.rows] for slot in model.slots])
        normed = torch.einsum("hbsk,hkd->hbsd", projected, weights)
        yield _through(joints.attention_norm, at.stream[layer], normed)
        yield _through(joints.mlp_norm, at.middle[layer], gradients.normed[layer][None])


def _through(
    norm: torch.nn.Module, stream: Float[Tensor, "pairs seq d_model"], gradient: Float[Tensor, "n pairs seq d_model"]
) -> Float[Tensor, "n pairs seq d_model"]:
    """Gradients at a norm's output, led back to its input."""
    with torch.enable_grad():
        entered = stream.expand_as(gradient).clone().requires_grad_()
        return torch.autograd.grad(norm.forward(entered), entered, gradient)[0]


def _head_sources(model: CircuitModel, layer: int) -> slice:
    first = 1 + layer * (model.graph.n_heads + 1)
    return slice(first, first + model.graph.n_heads)


def _mlp_source(model: CircuitModel, layer: int) -> slice:
    last = (layer + 1) * (model.graph.n_heads + 1)
    return slice(last, last + 1)
