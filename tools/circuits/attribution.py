"""Attribution patching: the effect of patching every head, neuron and edge at once, to first order.

    effect of patching x = m(clean run, x from the corrupted twin) - m(clean run)
                         ~ (x corrupted - x clean) . dm/dx

1. One pass of the corrupted prompts gives what every source wrote. One pass of the clean ones with
   one backward pass gives the gradients (Nanda 2023; Syed et al. 2023, EAP).
2. Gradients are taken where queries, keys and values leave their projections, and led back to each
   target's own reading of the stream: W^T g, then the norm's vector-Jacobian product. So grouped
   key-value heads stay one node each.
3. A matrix product of the earlier sources' changes with a layer's gradients gives the edges into
   that layer; gradients of all layers at once would be most of the memory.
4. Integrated gradients: `inputs` averages the gradients along the way from clean to corrupted
   embeddings (Hanna et al. 2024, EAP-IG inputs); `activations` moves one layer's sources at a time
   (Marks et al. 2024), which costs a backward pass per layer and step.

These are estimates and rankings; `sweep` measures single effects exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from .circuit_model import CircuitModel
from .forward_record import (
    ByLayer,
    ForwardRecord,
    Gradients,
    record,
    record_with_gradients,
)
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
        return Attribution(*_attributions(model, _changes(model, clean, twin), clean, gradients))
    clean = record(model, pairs.clean, metric, writes_only=True)
    changes = _changes(model, clean, twin)
    path = [_mixed_embedding(clean, twin, share) for share in _midpoints(steps)]
    del clean, twin  # a third of the memory
    totals = [torch.zeros(())] * 3
    for embedding in path:
        at, gradients = record_with_gradients(model, pairs.clean, metric, embedding=embedding)
        parts = _attributions(model, changes, at, gradients)
        totals = [total + part for total, part in zip(totals, parts, strict=True)]
        del at, gradients, parts  # free them before the next pass, not after it
    return Attribution(*(total / steps for total in totals))


def _midpoints(steps: int) -> list[float]:
    """Midpoints of equal steps from clean to corrupted; the clean end alone for a single step."""
    return [0.0] if steps == 1 else [(step + 0.5) / steps for step in range(steps)]


def _mixed_embedding(
    clean: ForwardRecord, twin: ForwardRecord, share: float
) -> Float[Tensor, "pairs seq d_model"]:
    assert clean.embedding is not None  # both passes record it
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
    layers = range(graph.n_layers)
    groups: list[tuple[Literal["input", "z", "mlp"], int, slice]] = [
        ("input", 0, slice(0, 1)),
        *(("z", layer, graph.head_sources(layer)) for layer in layers),
        *(("mlp", layer, graph.mlp_source(layer)) for layer in layers),
    ]
    total = changes.new_zeros(len(pairs), *graph.all_edges.shape)
    for kind, layer, sources in groups:
        for share in _midpoints(steps):
            prepare = partial(_move_sources, model, clean, twin, kind, layer, share)
            at, gradients = record_with_gradients(model, pairs.clean, metric, prepare=prepare)
            total += edge_attributions(model, changes, at, gradients, sources) / steps
    return total


def _move_sources(
    model: CircuitModel,
    clean: ForwardRecord,
    twin: ForwardRecord,
    kind: Literal["input", "z", "mlp"],
    layer: int,
    share: float,
    hooks: Hooks,
) -> None:
    """Add hooks that move one group of sources a share of the way to the twin."""
    parts = model.subject.parts.layers[layer]
    if kind == "input":
        mixed = _mixed_embedding(clean, twin, share)
        hooks.on_output(
            model.subject.model.get_input_embeddings(),
            lambda value: value + (mixed - value).detach(),  # the graph starts at `value`
        )
    elif kind == "z":
        change = share * (twin.z[layer] - clean.z[layer])
        hooks.on_input(parts.attention_out, lambda value: value + change)
    else:
        change = share * (twin.mlp[layer] - clean.mlp[layer])
        hooks.on_output(parts.mlp_write, lambda value: value + change)


class _Changes(NamedTuple):
    """The twin's values less the clean run's, of everything that is patched."""

    sources: Float[Tensor, "pairs source seq d_model"]
    z: ByLayer
    neurons: ByLayer


def _changes(model: CircuitModel, clean: ForwardRecord, twin: ForwardRecord) -> _Changes:
    z = {layer: value - clean.z[layer] for layer, value in twin.z.items()}
    neurons = {layer: value - clean.neurons[layer] for layer, value in twin.neurons.items()}
    return _Changes(source_changes(model, clean, twin), z, neurons)


def _attributions(
    model: CircuitModel, changes: _Changes, at: ForwardRecord, gradients: Gradients
) -> tuple[Tensor, Tensor, Tensor]:
    """Heads, neurons and edges: changes from clean to twin times gradients taken at `at`."""
    layers = range(model.graph.n_layers)
    heads = torch.stack([changes.z[layer] * gradients.z[layer] for layer in layers], dim=1)
    heads = heads.unflatten(-1, (model.graph.n_heads, -1)).sum((2, 4))  # over seq and head_dim
    neurons = torch.stack(
        [(changes.neurons[layer] * gradients.neurons[layer]).sum(1) for layer in layers], dim=1
    )
    return heads, neurons, edge_attributions(model, changes.sources, at, gradients)


def source_changes(
    model: CircuitModel, clean: ForwardRecord, twin: ForwardRecord
) -> Float[Tensor, "pairs source seq d_model"]:
    """What each source writes in the twin, less what it writes in the clean run."""
    graph = model.graph
    embedding = twin.stream[0] - clean.stream[0]
    n_pairs, seq, d_model = embedding.shape
    changes = embedding.new_empty(n_pairs, len(graph.sources), seq, d_model)
    changes[:, 0] = embedding
    for layer in range(graph.n_layers):
        by_head = model.head_writes(layer, twin.z[layer] - clean.z[layer])
        changes[:, graph.head_sources(layer)] = by_head.transpose(0, 1)
        changes[:, graph.mlp_source(layer)] = (twin.mlp[layer] - clean.mlp[layer])[:, None]
    return changes


def edge_attributions(
    model: CircuitModel,
    changes: Float[Tensor, "pairs source seq d_model"],
    at: ForwardRecord,
    gradients: Gradients,
    sources: slice = slice(None),
) -> Float[Tensor, "pairs source target"]:
    """Each source's change times the gradient of each target that it reaches; 0 for all but `sources`."""
    graph = model.graph
    edges = changes.new_zeros(len(changes), *graph.all_edges.shape)
    first, last, _ = sources.indices(len(graph.sources))
    for targets, gradient in _target_gradients(model, at, gradients):
        reached = slice(first, min(last, graph.n_sources_before(graph.targets[targets.start])))
        if reached.start < reached.stop:
            # 3. One product over positions and d_model for all edges into these targets.
            by_pair = gradient.transpose(0, 1).flatten(2)
            edges[:, reached, targets] = changes[:, reached].flatten(2) @ by_pair.mT
    return edges


def _target_gradients(
    model: CircuitModel, at: ForwardRecord, gradients: Gradients
) -> Iterator[tuple[slice, Float[Tensor, "target pairs seq d_model"]]]:
    """d metric / d (what each target reads of the stream): each layer's attention, each MLP, the logits."""
    graph = model.graph
    for layer, readers in enumerate(model.readers):
        # 2. From the projections' outputs through W and the norm to each target's own reading.
        projected = torch.stack(
            [gradients.projected[layer, qkv.module][..., qkv.rows] for qkv in model.qkv_slices]
        )
        normed = torch.einsum("hbsk,hkd->hbsd", projected, model.qkv_weights(layer).weights)
        # Yielded without names, so that each is freed before the next one is made.
        yield (
            graph.attention_targets(layer),
            _through_norm(readers.attention_norm, at.stream[layer], normed),
        )
        yield (
            graph.mlp_target(layer),
            _through_norm(readers.mlp_norm, at.middle[layer], gradients.normed[layer][None]),
        )
    yield graph.logits_target, gradients.logits[None]


def _through_norm(
    norm: torch.nn.Module,
    stream: Float[Tensor, "pairs seq d_model"],
    gradient: Float[Tensor, "n pairs seq d_model"],
) -> Float[Tensor, "n pairs seq d_model"]:
    """Gradients at a norm's output, led back to its input."""
    with torch.enable_grad():
        entered = stream.expand_as(gradient).clone().requires_grad_()
        return torch.autograd.grad(norm.forward(entered), entered, gradient)[0]
