"""A record of one pass over prompts: each source's write and, on demand, each target's gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .circuit_model import CircuitModel
from .hooks import Hooks, temporary_hooks

Metric = Callable[[Float[Tensor, "pairs vocab"]], Float[Tensor, " pairs"]]
ByLayer = dict[int, Tensor]
ByProjection = dict[tuple[int, int], Tensor]
"""By layer and index of the projection module."""


@dataclass
class ForwardRecord:
    """Values of a pass, each "pairs seq width", as references and not as copies.

    Attributes:
        embedding: the word embeddings.
        stream: what enters each layer's attention norm, and the final norm last.
        middle: what enters each layer's MLP norm; `normed`: what leaves it.
        projected: what leaves each of a layer's projections.
        z: what enters the attention's output projection.
        neurons: what enters the down projection; `mlp`: what the MLP writes.
    """

    embedding: Tensor | None = None
    stream: ByLayer = field(default_factory=dict)
    middle: ByLayer = field(default_factory=dict)
    normed: ByLayer = field(default_factory=dict)
    projected: ByProjection = field(default_factory=dict)
    z: ByLayer = field(default_factory=dict)
    neurons: ByLayer = field(default_factory=dict)
    mlp: ByLayer = field(default_factory=dict)
    metric: Float[Tensor, " pairs"] | None = None


@dataclass(frozen=True)
class Gradients:
    """d metric / d value, as in `ForwardRecord`; `logits`: at the final norm's input."""

    projected: ByProjection
    normed: ByLayer
    z: ByLayer
    neurons: ByLayer
    logits: Tensor


def record(
    model: CircuitModel, ids: Int[Tensor, "pairs seq"], metric: Metric, *, writes_only: bool = False
) -> ForwardRecord:
    """One pass without gradients; `writes_only` leaves out `middle`, `normed` and `projected`, half of the memory."""
    values = ForwardRecord()
    with temporary_hooks() as hooks, torch.no_grad():
        _keep_writes(model, hooks, values)
        if not writes_only:
            keep_readings(model, hooks, values)
        values.metric = metric(model.logits(ids))
    return values


def record_with_gradients(
    model: CircuitModel,
    ids: Int[Tensor, "pairs seq"],
    metric: Metric,
    *,
    embedding: Float[Tensor, "pairs seq d_model"] | None = None,
    prepare: Callable[[Hooks], None] | None = None,
) -> tuple[ForwardRecord, Gradients]:
    """One pass and one backward pass from the sum of the pairs' metric.

    Args:
        embedding: runs in place of the ids' embeddings.
        prepare: adds further hooks, which run before the recording ones.
    """
    values = ForwardRecord()

    def start_graph(value: Tensor) -> Tensor:
        return (value if embedding is None else embedding).detach().clone().requires_grad_()

    with temporary_hooks() as hooks, torch.enable_grad():
        hooks.on_output(model.subject.model.get_input_embeddings(), start_graph)
        if prepare:
            prepare(hooks)
        _keep_writes(model, hooks, values)
        keep_readings(model, hooks, values)
        values.metric = metric(model.logits(ids))
        groups: list[dict[Any, Tensor]]
        groups = [values.projected, values.normed, values.z, values.neurons]
        points = [value for group in groups for value in group.values()]
        points.append(values.stream[model.graph.n_layers])
        gradients = iter(torch.autograd.grad(values.metric.sum(), points, materialize_grads=True))
    by_group = [{key: next(gradients) for key in group} for group in groups]
    return _detached(values), Gradients(*by_group, logits=next(gradients))


def _keep_writes(model: CircuitModel, hooks: Hooks, values: ForwardRecord) -> None:
    """Keep the stream, and what is written to it."""

    def keep_embedding(value: Tensor) -> None:
        values.embedding = value

    hooks.on_output(model.subject.model.get_input_embeddings(), keep_embedding)
    layers = zip(model.readers, model.subject.parts.layers, strict=True)
    for layer, (readers, parts) in enumerate(layers):
        hooks.on_input(readers.attention_norm, partial(_keep, values.stream, layer))
        hooks.on_input(parts.attention_out, partial(_keep, values.z, layer))
        hooks.on_input(parts.mlp_down, partial(_keep, values.neurons, layer))
        hooks.on_output(parts.mlp_write, partial(_keep, values.mlp, layer))
    final_norm = model.subject.parts.final_norm
    hooks.on_input(final_norm, partial(_keep, values.stream, model.graph.n_layers))


def keep_readings(model: CircuitModel, hooks: Hooks, values: ForwardRecord) -> None:
    """Keep what attention and MLPs make of the stream before they work on it."""
    for layer, readers in enumerate(model.readers):
        for index, module in enumerate(readers.projections):
            hooks.on_output(module, partial(_keep, values.projected, (layer, index)))
        hooks.on_input(readers.mlp_norm, partial(_keep, values.middle, layer))
        hooks.on_output(readers.mlp_norm, partial(_keep, values.normed, layer))


def _keep(group: dict[Any, Tensor], key: Any, value: Tensor) -> None:
    group[key] = value


def _detached(values: ForwardRecord) -> ForwardRecord:
    """Let go of the graph, which would keep the whole pass in memory."""
    for name, value in vars(values).items():
        if isinstance(value, dict):
            setattr(values, name, {key: tensor.detach() for key, tensor in value.items()})
        elif value is not None:
            setattr(values, name, value.detach())
    return values
