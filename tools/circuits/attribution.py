"""Attribution patching: the effect of patching every head, neuron and edge at once, to first order.

    effect of patching x = m(clean run, x from the corrupted twin) - m(clean run) ~ (x corrupted - x
    clean) . dm/dx

1. One pass of the corrupted prompts leaves what every source wrote, one pass of the clean ones with
   one backward pass the gradients (Nanda 2023; Syed et al. 2023, EAP).
2. Gradients are taken where queries, keys and values leave their projections, and led back to each
   target's own reading of the stream: W^T g, then the norm's vector-Jacobian product. So grouped
   key-value heads stay one node each.
3. A matrix product of the earlier sources' changes with a layer's gradients gives the edges into
   that layer; gradients of all layers at once would be most of the memory.
4. Integrated gradients: `inputs` averages the gradients along the way from clean to corrupted
   embeddings (Hanna et al. 2024, EAP-IG inputs); `activations` moves one layer's sources at a time
   (Marks et al. 2024), which costs a backward pass a layer and step.

These are estimates and rankings. `verification` measures the top of them, and a random sample,
exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from .circuit_model import CircuitModel
from .forward_record import ForwardRecord, Gradients, record, record_with_gradients
from .hooks import Hooks
from .memory import check_fits
from .prompts import PromptPairs


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
    """Estimate the effect of every head, neuron and edge; `steps` > 1 integrates along the
    embeddings (EAP-IG inputs).

    One step is plain attribution patching: the gradient at the clean prompt.

    Raises:
        UsageError: the pairs do not fit into memory; says what would.
    """
    check_fits(model, pairs)
    metric = pairs.logit_difference
    twin = record(model, pairs.corrupted, metric, writes_only=True)
    if steps == 1:
        clean, gradients = record_with_gradients(model, pairs.clean, metric)
        return Attribution(*_scores(model, _changes(model, clean, twin), clean, gradients))
    clean = record(model, pairs.clean, metric, writes_only=True)
    changes, way = (
        _changes(model, clean, twin),
        [_mixed(clean, twin, share) for share in _shares(steps)],
    )
    del clean, twin  # else a third of the memory
    total = [torch.zeros(())] * 3
    for embedding in way:
        at, gradients = record_with_gradients(model, pairs.clean, metric, embedding=embedding)
        total = [
            one + two
            for one, two in zip(total, _scores(model, changes, at, gradients), strict=True)
        ]
    return Attribution(*(value / steps for value in total))


def _shares(steps: int) -> list[float]:
    """Points of the way from clean to corrupted: the clean end alone, or midpoints of equal steps."""
    return [0.0] if steps == 1 else [(step + 0.5) / steps for step in range(steps)]


def _mixed(
    clean: ForwardRecord, twin: ForwardRecord, share: float
) -> Float[Tensor, "pairs seq d_model"]:
    assert clean.embedding is not None  # recorded by both passes
    assert twin.embedding is not None
    return clean.embedding + share * (twin.embedding - clean.embedding)


def attribute_activations(
    model: CircuitModel, pairs: PromptPairs, steps: int = 5
) -> Float[Tensor, "pairs source target"]:
    """Edges by EAP-IG activations: each layer's heads, each MLP and the input move from clean to
    corrupted in turn.

    Raises:
        UsageError: the pairs do not fit into memory; says what would.
    """
    check_fits(model, pairs)
    metric, graph = pairs.logit_difference, model.graph
    twin = record(model, pairs.corrupted, metric, writes_only=True)
    clean = record(model, pairs.clean, metric, writes_only=True)
    changes = source_changes(model, clean, twin)
    total = changes.new_zeros(len(pairs), *graph.all_edges.shape)
    groups = [
        ("input", 0, slice(0, 1)),
        *(("z", layer, _head_sources(model, layer)) for layer in range(graph.n_layers)),
        *(("mlp", layer, _mlp_source(model, layer)) for layer in range(graph.n_layers)),
    ]
    for kind, layer, sources in groups:
        for share in _shares(steps):
            prepare = partial(_move, model, clean, twin, kind, layer, share)
            at, gradients = record_with_gradients(model, pairs.clean, metric, prepare=prepare)
            total += edge_attributions(model, changes, at, gradients, sources) / steps
    return total


def _move(
    model: CircuitModel,
    clean: ForwardRecord,
    twin: ForwardRecord,
    kind: str,
    layer: int,
    share: float,
    put: Hooks,
) -> None:
    parts = model.subject.parts.layers[layer]
    if kind == "input":
        put.on_output(
            model.subject.model.get_input_embeddings(),
            lambda value: value + (_mixed(clean, twin, share) - value).detach(),
        )
    elif kind == "z":
        put.on_input(
            parts.attention_out, lambda value: value + share * (twin.z[layer] - clean.z[layer])
        )
    else:
        put.on_output(
            parts.mlp_write, lambda value: value + share * (twin.mlp[layer] - clean.mlp[layer])
        )


class _Changes(NamedTuple):
    """What the twin has, less what the clean run has, of all that is patched."""

    sources: Float[Tensor, "pairs source seq d_model"]
    z: dict[int, Tensor]
    neurons: dict[int, Tensor]


def _changes(model: CircuitModel, clean: ForwardRecord, twin: ForwardRecord) -> _Changes:
    z, neurons = (
        {layer: value - one[layer] for layer, value in two.items()}
        for one, two in ((clean.z, twin.z), (clean.neurons, twin.neurons))
    )
    return _Changes(source_changes(model, clean, twin), z, neurons)


def _scores(
    model: CircuitModel, changes: _Changes, at: ForwardRecord, gradients: Gradients
) -> tuple[Tensor, ...]:
    """Heads, neurons and edges: changes from clean to twin times gradients taken at `at`."""
    layers = range(model.graph.n_layers)
    heads = torch.stack([changes.z[layer] * gradients.z[layer] for layer in layers], dim=1)
    heads = heads.unflatten(-1, (model.graph.n_heads, -1)).sum((2, 4))
    neurons = torch.stack(
        [(changes.neurons[layer] * gradients.neurons[layer]).sum(1) for layer in layers], dim=1
    )
    return heads, neurons, edge_attributions(model, changes.sources, at, gradients)


def source_changes(
    model: CircuitModel, clean: ForwardRecord, twin: ForwardRecord
) -> Float[Tensor, "pairs source seq d_model"]:
    """What each source writes in the twin, less what it writes in the clean run."""
    first = twin.stream[0] - clean.stream[0]
    found = first.new_empty(len(first), len(model.graph.sources), *first.shape[1:])
    found[:, 0] = first
    for layer in range(model.graph.n_layers):
        found[:, _head_sources(model, layer)] = model.head_writes(
            layer, twin.z[layer] - clean.z[layer]
        ).transpose(0, 1)
        found[:, _mlp_source(model, layer)] = (twin.mlp[layer] - clean.mlp[layer])[:, None]
    return found


def edge_attributions(
    model: CircuitModel,
    changes: Float[Tensor, "pairs source seq d_model"],
    at: ForwardRecord,
    gradients: Gradients,
    sources: slice = slice(None),
) -> Float[Tensor, "pairs source target"]:
    """Every source's change times the gradient of every target that it reaches; of other sources than these, 0."""
    graph = model.graph
    found = changes.new_zeros(len(changes), *graph.all_edges.shape)
    first, last, _ = sources.indices(len(graph.sources))
    for targets, gradient in _by_reader(model, at, gradients):
        reached = slice(first, min(last, graph.n_sources_before(graph.targets[targets.start])))
        if reached.start < reached.stop:
            by_pair = gradient.transpose(0, 1).flatten(2)
            found[:, reached, targets] = changes[:, reached].flatten(2) @ by_pair.mT
    return found


def _by_reader(
    model: CircuitModel, at: ForwardRecord, gradients: Gradients
) -> Iterator[tuple[slice, Float[Tensor, "target pairs seq d_model"]]]:
    """d metric / d (what each target reads of the stream): each layer's attention, each MLP, the logits."""
    graph = model.graph
    for layer, joints in enumerate(model.readers):
        attention = slice(
            graph.first_target(layer), graph.first_target(layer) + graph.attention_width
        )
        weights, _ = model.qkv_weights(layer)
        projected = torch.stack(
            [gradients.projected[layer, slot.module][..., slot.rows] for slot in model.qkv_slices]
        )
        normed = torch.einsum("hbsk,hkd->hbsd", projected, weights)
        yield attention, _through(joints.attention_norm, at.stream[layer], normed)
        mlp = slice(attention.stop, attention.stop + 1)
        yield mlp, _through(joints.mlp_norm, at.middle[layer], gradients.normed[layer][None])
    final = graph.first_target(graph.n_layers)
    yield slice(final, final + 1), gradients.logits[None]


def _through(
    norm: torch.nn.Module,
    stream: Float[Tensor, "pairs seq d_model"],
    gradient: Float[Tensor, "n pairs seq d_model"],
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
