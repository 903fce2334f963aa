"""Exact effects of patching single heads, neurons and edges from the corrupted twin, many at a
time.

1. One clean pass keeps the input of each layer, one corrupted pass the values of the units.
2. A patch in layer l leaves everything before it unchanged: only layers l to the last are run again.
3. Units of a layer are stacked in the batch, and only the rows of the answers and foils are
   unembedded, at the last position.

An edge that is patched alone has clean values upstream, so its target reads the clean stream + the
source's change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..errors import UsageError
from ..subject.address import Unit
from ..subject.architectures import first_tensor
from .circuit_model import CircuitModel, at_least_float32
from .forward_record import ForwardRecord, record
from .graph import Edge, Node, Target
from .hooks import temporary_hooks
from .prompts import PADDING, PromptPairs

TOKENS = 1024
"""Tokens in one pass: nine heads of four pairs of 14 tokens and more. Larger passes leave the CPU's caches
and cost more per token."""


class Patch(NamedTuple):
    """A change of a module's input or output: the value replaces columns, or is added."""

    module: nn.Module
    value: Float[Tensor, "pairs seq width"]
    columns: slice = slice(None)
    on_output: bool = False
    add: bool = False

    def apply(self, value: Tensor, rows: slice) -> None:
        """Change the rows in place."""
        if self.add:
            value[rows] += self.value
        else:
            value[rows, :, self.columns] = self.value


class Sweep:
    """Exact patching of units and edges of one model on one batch of pairs."""

    def __init__(self, model: CircuitModel, pairs: PromptPairs) -> None:
        self.model, self.pairs = model, pairs
        self._calls: dict[int, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        with torch.inference_mode():
            # 1. What the layers were called with, and both passes' writes.
            self.twin = record(model, pairs.corrupted, pairs.logit_difference, writes_only=True)
            with temporary_hooks() as hooks:
                for layer, parts in enumerate(model.subject.parts.layers):
                    hooks.on_call(parts.whole, partial(self._keep_call, layer))
                self.clean = record(model, pairs.clean, pairs.logit_difference, writes_only=True)
        assert self.clean.metric is not None  # recorded
        self.baseline: Float[Tensor, " pairs"] = self.clean.metric

    def _keep_call(
        self, layer: int, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._calls[layer] = (args, kwargs)

    def units(self, units: Sequence[Unit]) -> Float[Tensor, "unit pairs"]:
        """Effect of patching each head or neuron, at all positions: m(patched) - m(clean).

        Raises:
            UsageError: a unit that is neither a head nor a neuron, or that the subject lacks.
        """
        for unit in units:
            if unit.site == "resid":
                raise UsageError(f"{str(unit)!r} given; a sweep patches heads and MLP neurons")
            self.model.subject.shape.column(unit)
        return self.patches([(unit.layer, self._unit_patch(unit)) for unit in units])

    def nodes(self, nodes: Sequence[Node]) -> Float[Tensor, "node pairs"]:
        """Effect of patching all that each head or MLP writes; raises UsageError for another kind of node."""
        return self.patches([(n.layer, self._write_patch(n, self._change(n))) for n in nodes])

    def interchange(self, pairs: Sequence[tuple[Node, Node]]) -> Float[Tensor, "swap pairs"]:
        """Effect of replacing each first node's write by the second node's in the same clean run."""
        patches: list[tuple[int, Patch]] = []
        for node, other in pairs:
            change = self._written(other, self.clean) - self._written(node, self.clean)
            patches.append((node.layer, self._write_patch(node, change)))
        return self.patches(patches)

    def edges(self, edges: Sequence[Edge]) -> Float[Tensor, "edge pairs"]:
        """Effect of patching each edge alone; raises UsageError for an edge that the model lacks."""
        self.model.graph.mask_of(edges)  # checks them
        after_last = self.model.graph.n_layers
        layers = [after_last if e.input == "logits" else e.target.layer for e in edges]
        patches = [self._edge_patch(edge) for edge in edges]
        return self.patches(list(zip(layers, patches, strict=True)))

    def patches(self, patches: Sequence[tuple[int, Patch]]) -> Float[Tensor, "patch pairs"]:
        """Effect of each patch, given with the first layer that it changes."""
        by_layer: dict[int, list[int]] = defaultdict(list)
        for index, (layer, _) in enumerate(patches):
            by_layer[layer].append(index)
        effects = self.baseline.new_zeros(len(patches), len(self.pairs))
        at_once = max(1, TOKENS // self.pairs.clean.numel())
        for layer, members in by_layer.items():
            for start in range(0, len(members), at_once):
                batch = members[start : start + at_once]
                metric = self._run_from(layer, [patches[index][1] for index in batch])
                effects[batch] = metric - self.baseline
        return effects

    @torch.inference_mode()
    def _run_from(self, layer: int, patches: Sequence[Patch]) -> Float[Tensor, "patch pairs"]:
        """2. The metric when the layers from this one on are run again, stacked, one patch per copy."""
        parts, n_pairs = self.model.subject.parts, len(self.pairs)
        by_module: dict[nn.Module, list[tuple[Patch, slice]]] = defaultdict(list)
        for index, patch in enumerate(patches):
            rows = slice(index * n_pairs, (index + 1) * n_pairs)
            by_module[patch.module].append((patch, rows))
        with temporary_hooks() as hooks:
            for module, members in by_module.items():
                add_hook = hooks.on_output if members[0][0].on_output else hooks.on_input
                add_hook(module, partial(_apply_patches, members))
            stream = self.clean.stream[layer].repeat(len(patches), 1, 1)
            for index in range(layer, len(parts.layers)):
                args, kwargs = _repeated(self._calls[index], n_pairs, len(patches))
                if args:
                    output = parts.layers[index].whole(stream, *args[1:], **kwargs)
                else:
                    output = parts.layers[index].whole(**{**kwargs, "hidden_states": stream})
                stream = first_tensor(output)
            final = parts.final_norm(stream[:, -1:])[:, 0]
            return self._metric(final, len(patches)).view(len(patches), n_pairs)

    def _metric(self, final: Float[Tensor, "rows d_model"], copies: int) -> Float[Tensor, " rows"]:
        """3. The logit difference of stacked copies of the pairs; unembeds only the tokens it needs."""
        answer, foil = (
            self._mean_logit(final, ids.to(final.device).repeat(copies, 1))
            for ids in (self.pairs.answer, self.pairs.foil)
        )
        return answer - foil

    def _mean_logit(
        self, final: Float[Tensor, "rows d_model"], ids: Int[Tensor, "rows tokens"]
    ) -> Float[Tensor, " rows"]:
        unembed = self.model.subject.parts.unembed
        is_token, ids = ids != PADDING, ids.clamp(min=0)
        logits = torch.einsum("rd,rad->ra", final, cast(Tensor, unembed.weight)[ids])
        bias = cast("Tensor | None", getattr(unembed, "bias", None))
        logits = logits if bias is None else logits + bias[ids]
        return (at_least_float32(logits) * is_token).sum(1) / is_token.sum(1)

    def _unit_patch(self, unit: Unit) -> Patch:
        parts = self.model.subject.parts.layers[unit.layer]
        width = self.model.subject.head_dim if unit.site == "head" else 1
        columns = slice(unit.index * width, (unit.index + 1) * width)
        if unit.site == "head":
            return Patch(parts.attention_out, self.twin.z[unit.layer][..., columns], columns)
        return Patch(parts.mlp_down, self.twin.neurons[unit.layer][..., columns], columns)

    @torch.inference_mode()
    def _edge_patch(self, edge: Edge) -> Patch:
        model, change, layer = self.model, self._change(edge.source), edge.target.layer
        if edge.input == "logits":
            return Patch(model.subject.parts.final_norm, change[:, -1:], add=True)
        readers = model.readers[layer]
        if edge.input == "mlp":
            return Patch(readers.mlp_norm, change, add=True)
        first = model.graph.first_target(layer)
        index = model.graph.targets.index(Target(edge.target, edge.input), first) - first
        module, rows = model.qkv_slices[index]
        weights, biases = model.qkv_weights(layer)
        read = readers.attention_norm.forward(self.clean.stream[layer] + change)
        value = read @ weights[index].T + biases[index]
        return Patch(readers.projections[module], value, rows, on_output=True)

    def _write_patch(self, node: Node, change: Float[Tensor, "pairs seq d_model"]) -> Patch:
        if node.kind not in ("head", "mlp") or node not in self.model.graph.sources:
            raise UsageError(
                f"{str(node)!r} given; expected a head or an MLP of {self.model.subject.name}"
            )
        parts = self.model.subject.parts.layers[node.layer]
        module = parts.attention_write if node.kind == "head" else parts.mlp_write
        return Patch(module, change, on_output=True, add=True)

    def _change(self, source: Node) -> Float[Tensor, "pairs seq d_model"]:
        return self._written(source, self.twin) - self._written(source, self.clean)

    def _written(self, source: Node, values: ForwardRecord) -> Float[Tensor, "pairs seq d_model"]:
        if source.kind == "input":
            return values.stream[0]
        if source.kind == "mlp":
            return values.mlp[source.layer]
        return self.model.head_writes(source.layer, values.z[source.layer])[source.head]


def _apply_patches(patches: Sequence[tuple[Patch, slice]], value: Tensor) -> Tensor:
    new = value.clone()
    for patch, rows in patches:
        patch.apply(new, rows)
    return new


def _repeated(argument: Any, n_pairs: int, copies: int) -> Any:
    """A layer's arguments for stacked copies of the batch; a tensor with one row for all pairs stays as it is."""
    if isinstance(argument, Tensor):
        whole_batch = argument.ndim > 0 and len(argument) == n_pairs and n_pairs > 1
        return argument.repeat(copies, *[1] * (argument.ndim - 1)) if whole_batch else argument
    if isinstance(argument, tuple):
        return tuple(_repeated(item, n_pairs, copies) for item in argument)
    if isinstance(argument, dict):
        return {key: _repeated(item, n_pairs, copies) for key, item in argument.items()}
    return argument
