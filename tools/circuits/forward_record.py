"""What one pass of prompts leaves behind: what every source wrote, and, on demand, gradients at every target."""

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


@dataclass
class ForwardRecord:
    """Values by layer, as references to what passed; `z` is what enters the output projection.

    Attributes:
        embedding: the word embeddings; `stream`: what enters each layer's attention norm, and the final norm last.
        middle: what enters each layer's MLP norm.
        normed: what leaves the MLP norm; `projected`: what leaves each of a layer's projections.
        neurons: what enters the down projection; `mlp`: what the MLP writes.
    """

    embedding: Tensor | None = None
    stream: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    middle: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    normed: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    projected: dict[tuple[int, int], Tensor] = field(default_factory=dict[tuple[int, int], Tensor])
    z: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    neurons: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    mlp: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    metric: Tensor | None = None


def record(
    model: CircuitModel, ids: Int[Tensor, "pairs seq"], metric: Metric, *, writes_only: bool = False
) -> ForwardRecord:
    """One pass without gradients; `writes_only` leaves out `middle`, `normed` and `projected`, half of the memory."""
    found = ForwardRecord()
    with temporary_hooks() as watched, torch.no_grad():
        _watch_writes(model, watched, found)
        if not writes_only:
            _watch_readings(model, watched, found)
        found.metric = metric(model.logits(ids))
    return found


@dataclass(frozen=True)
class Gradients:
    """d metric / d value, by layer, as in `Recording`; `stream` is that of the logits' input alone."""

    projected: dict[tuple[int, int], Tensor]
    normed: dict[int, Tensor]
    z: dict[int, Tensor]
    neurons: dict[int, Tensor]
    logits: Tensor


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
        embedding: runs in place of the ids' embeddings; `prepare`: puts further hooks, in force before the readers.
    """
    found = ForwardRecord()

    def start(value: Tensor) -> Tensor:
        return (value if embedding is None else embedding).detach().clone().requires_grad_()

    with temporary_hooks() as watched, torch.enable_grad():
        watched.on_output(model.subject.model.get_input_embeddings(), start)
        if prepare:
            prepare(watched)
        _watch_writes(model, watched, found)
        _watch_readings(model, watched, found)
        found.metric = metric(model.logits(ids))
        keyed: list[dict[Any, Tensor]] = [found.projected, found.normed, found.z, found.neurons]
        last = found.stream[model.graph.n_layers]
        wanted = [value for group in keyed for value in group.values()]
        gradients = iter(
            torch.autograd.grad(found.metric.sum(), [*wanted, last], materialize_grads=True)
        )
    return _detached(found), Gradients(
        projected={key: next(gradients) for key in found.projected},
        normed={key: next(gradients) for key in found.normed},
        z={key: next(gradients) for key in found.z},
        neurons={key: next(gradients) for key in found.neurons},
        logits=next(gradients),
    )


def _watch_writes(model: CircuitModel, watched: Hooks, found: ForwardRecord) -> None:
    """The stream, and what is written to it."""

    def keep_embedding(value: Tensor) -> None:
        found.embedding = value

    watched.on_output(model.subject.model.get_input_embeddings(), keep_embedding)
    for layer, (joints, parts) in enumerate(
        zip(model.readers, model.subject.parts.layers, strict=True)
    ):
        watched.on_input(joints.attention_norm, partial(_keep, found.stream, layer))
        watched.on_input(parts.attention_out, partial(_keep, found.z, layer))
        watched.on_input(parts.mlp_down, partial(_keep, found.neurons, layer))
        watched.on_output(parts.mlp_write, partial(_keep, found.mlp, layer))
    watched.on_input(
        model.subject.parts.final_norm, partial(_keep, found.stream, model.graph.n_layers)
    )


def _watch_readings(model: CircuitModel, watched: Hooks, found: ForwardRecord) -> None:
    """What attention and MLPs make of the stream before they work on it."""
    for layer, joints in enumerate(model.readers):
        for index, module in enumerate(joints.projections):
            watched.on_output(module, partial(_keep, found.projected, (layer, index)))
        watched.on_input(joints.mlp_norm, partial(_keep, found.middle, layer))
        watched.on_output(joints.mlp_norm, partial(_keep, found.normed, layer))


def _keep(group: dict[Any, Tensor], key: Any, value: Tensor) -> None:
    group[key] = value


def _detached(found: ForwardRecord) -> ForwardRecord:
    for group in (
        found.stream,
        found.middle,
        found.normed,
        found.projected,
        found.z,
        found.neurons,
        found.mlp,
    ):
        for key, value in group.items():
            group[key] = value.detach()  # pyright: ignore[reportArgumentType]
    if found.embedding is not None:
        found.embedding = found.embedding.detach()
    if found.metric is not None:
        found.metric = found.metric.detach()
    return found
