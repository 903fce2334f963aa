"""AtP* for edges (after Kramár et al. 2024, who correct nodes): attribution patching with two of
its faults corrected.

1. Saturated attention. A query or key moves the softmax, whose gradient may vanish while its step
   does not. So for an edge into a query or key the source's change is added to what that target
   reads, the layer's attention is run again, and the change of z is multiplied by the gradient of
   z. A head's z depends on its own query alone, and on its own key-value head's keys, so one run
   covers a source's edges into all queries of a layer, and another those into all its keys.
2. All other edges: the source's change times the gradient at the target, as in `attribution`.
3. Direct and indirect effects that cancel (GradDrop). Gradients are taken once per layer with that
   layer's writes held constant. The score is the size of the mean over pairs, averaged over these
   passes, times L / (L - 1).

The first costs two attention runs per source and layer, the third a backward pass per layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from .attribution import edge_attributions, source_changes
from .circuit_model import CircuitModel
from .forward_record import ForwardRecord, Gradients, record, record_with_gradients
from .hooks import Hooks, temporary_hooks
from .memory import check_fits
from .prompts import PromptPairs

EdgeEffects = Float[Tensor, "pairs source target"]


def attribute_through_softmax(model: CircuitModel, pairs: PromptPairs) -> EdgeEffects:
    """Estimated effects of all edges, with the softmax recomputed for edges into queries and keys."""
    return _StarAttribution(model, pairs).edges([None])[0]


def attribute_star(model: CircuitModel, pairs: PromptPairs) -> Float[Tensor, "source target"]:
    """Sizes of the effects of all edges, with both corrections.

    Raises:
        UsageError: the model has a single layer, so that GradDrop leaves no gradient.
    """
    n_layers = model.graph.n_layers
    if n_layers < 2:
        raise UsageError(
            "a model of one layer given; GradDrop leaves one layer out and needs two or more"
        )
    drops = [detach_layer_writes(model, layer) for layer in range(n_layers)]
    effects = _StarAttribution(model, pairs).edges(drops)
    sizes = torch.stack([by_pair.mean(0).abs() for by_pair in effects])
    return sizes.sum(0) / (n_layers - 1)  # the mean over L passes, times L / (L - 1)


def detach_layer_writes(model: CircuitModel, layer: int) -> Callable[[Hooks], None]:
    """Hooks that hold constant what a layer writes, so that no gradient passes through it."""
    parts = model.subject.parts.layers[layer]

    def add_hooks(put: Hooks) -> None:
        put.on_output(parts.attention_write, Tensor.detach)
        put.on_output(parts.mlp_write, Tensor.detach)

    return add_hooks


class _StarAttribution:
    """Recordings of one batch, from which edges are scored once per way of taking gradients."""

    def __init__(self, model: CircuitModel, pairs: PromptPairs) -> None:
        check_fits(model, pairs)
        self.model, self.pairs = model, pairs
        self.calls = _AttentionCalls(model)
        twin = record(model, pairs.corrupted, pairs.logit_difference, writes_only=True)
        self.clean, self.gradients = record_with_gradients(
            model, pairs.clean, pairs.logit_difference, prepare=self.calls.record
        )
        self.changes = source_changes(model, self.clean, twin)

    def edges(self, drops: Sequence[Callable[[Hooks], None] | None]) -> list[EdgeEffects]:
        """All edges, once per set of hooks under which gradients are taken; None: the bare pass."""
        effects: list[EdgeEffects] = []
        z_gradients: list[dict[int, Tensor]] = []
        for drop in drops:
            at, gradients = self._differentiate(drop)
            # 2. Every edge by its gradient; those into queries and keys are overwritten below.
            effects.append(edge_attributions(self.model, self.changes, at, gradients))
            z_gradients.append(gradients.z)  # all that is still needed of this pass
        for layer in range(self.model.graph.n_layers):
            stacked = torch.stack([gradients[layer] for gradients in z_gradients])
            self._overwrite_queries_and_keys(layer, stacked, effects)
        return effects

    def _differentiate(
        self, drop: Callable[[Hooks], None] | None
    ) -> tuple[ForwardRecord, Gradients]:
        if drop is None:
            return self.clean, self.gradients
        metric = self.pairs.logit_difference
        return record_with_gradients(self.model, self.pairs.clean, metric, prepare=drop)

    def _overwrite_queries_and_keys(
        self,
        layer: int,
        gradients: Float[Tensor, "way pairs seq width"],
        effects: list[EdgeEffects],
    ) -> None:
        graph = self.model.graph
        first, group = graph.first_target(layer), graph.n_heads // graph.n_kv_heads
        queries = slice(first, first + graph.n_heads)
        keys = slice(queries.stop, queries.stop + graph.n_kv_heads)
        for source in range(graph.n_sources_before(graph.targets[first])):
            # 1. The source's change, alone, through this layer's projections and softmax.
            patched = self._project(layer, self.clean.stream[layer] + self.changes[:, source])
            query_z = self.calls.z_with(layer, "q", patched) - self.clean.z[layer]
            key_z = self.calls.z_with(layer, "k", patched) - self.clean.z[layer]
            by_query = self._sum_by_head(query_z * gradients)
            by_key = self._sum_by_head(key_z * gradients)
            by_key = by_key.unflatten(-1, (-1, group)).sum(-1)  # query heads that share a key
            for by_pair, query, key in zip(effects, by_query, by_key, strict=True):
                by_pair[:, source, queries], by_pair[:, source, keys] = query, key

    @torch.no_grad()
    def _project(
        self, layer: int, stream: Float[Tensor, "pairs seq d_model"]
    ) -> Float[Tensor, "qkv pairs seq head_dim"]:
        weights, biases = self.model.qkv_weights(layer)
        normed = self.model.readers[layer].attention_norm(stream)
        return torch.einsum("bsd,hkd->hbsk", normed, weights) + biases[:, None, None]

    def _sum_by_head(
        self, value: Float[Tensor, "way pairs seq width"]
    ) -> Float[Tensor, "way pairs head"]:
        return value.unflatten(-1, (self.model.graph.n_heads, -1)).sum((2, 4))


class _AttentionCalls:
    """How each layer's attention was called in a pass, to run it again with other queries or keys."""

    def __init__(self, model: CircuitModel) -> None:
        self._model = model
        self._modules = [parts.attention_write for parts in model.subject.parts.layers]
        self._calls: dict[int, tuple[tuple[Any, ...], dict[str, Any]]] = {}

    def record(self, put: Hooks) -> None:
        """Add the hooks that keep the arguments of each call."""

        def keep(layer: int, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._calls[layer] = (args, kwargs)

        for layer, module in enumerate(self._modules):
            put.on_call(module, partial(keep, layer))

    @torch.no_grad()
    def z_with(
        self,
        layer: int,
        part: Literal["q", "k"],
        values: Float[Tensor, "qkv pairs seq head_dim"],
    ) -> Float[Tensor, "pairs seq width"]:
        """z of a layer when its queries, or its keys, are these; `values` of the other parts go unused."""
        model, heads = self._model, self._model.graph.n_heads
        replaced = range(heads) if part == "q" else range(heads, heads + model.graph.n_kv_heads)
        z: list[Tensor] = []

        def replace(module: int, output: Tensor) -> Tensor:
            new = output.clone()
            for index in replaced:
                if model.qkv_slices[index].module == module:
                    new[..., model.qkv_slices[index].rows] = values[index]
            return new

        args, kwargs = self._calls[layer]
        with temporary_hooks() as put:
            for index, module in enumerate(model.readers[layer].projections):
                put.on_output(module, partial(replace, index))
            put.on_input(model.subject.parts.layers[layer].attention_out, z.append)
            self._modules[layer](*args, **kwargs)
        return z[0]
