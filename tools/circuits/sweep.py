"""Exact effects of patching single heads, neurons and edges from the corrupted twin, many at a
time.

1. One clean pass keeps what enters each layer, one corrupted pass what the units were worth there.
2. A patch in layer l leaves all before it as it was: only layers l to the last are run again.
3. Units of a layer are stacked in the batch, and only the rows of the answers and foils are
   unembedded, at the last position.

An edge patched alone has clean values upstream, so that its target reads the clean stream + the
source's change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float
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
"""Tokens in one pass: nine heads of four pairs of 14 tokens and more; above it CPU caches make a token dearer."""


class Patch(NamedTuple):
    """What one unit's patch does to what enters or leaves a module: columns are replaced, or the value is added."""

    module: nn.Module
    value: Float[Tensor, "pairs seq width"]
    columns: slice = slice(None)
    leaving: bool = False
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
            self.twin = record(model, pairs.corrupted, pairs.logit_difference, writes_only=True)
            self.clean = self._record_calls()
        assert self.clean.metric is not None  # recorded
        self.baseline: Float[Tensor, " pairs"] = self.clean.metric

    def units(self, units: Sequence[Unit]) -> Float[Tensor, "unit pairs"]:
        """Effect of patching each head or neuron, at all positions: m(patched) - m(clean).

        Raises:
            UsageError: a unit that is neither a head nor a neuron, or that the subject lacks.
        """
        for unit in units:
            if unit.site == "resid":
                raise UsageError(f"{str(unit)!r} given; a sweep patches heads and MLP neurons")
            self.model.subject.shape.column(unit)
        return self._effects([(unit.layer, self._unit_patch(unit)) for unit in units])

    def nodes(self, nodes: Sequence[Node]) -> Float[Tensor, "node pairs"]:
        """Effect of patching all that each head or MLP writes; raises UsageError for another kind of node."""
        return self._effects(
            [(node.layer, self._write_patch(node, self._change(node))) for node in nodes]
        )

    def interchange(self, pairs: Sequence[tuple[Node, Node]]) -> Float[Tensor, "swap pairs"]:
        """Effect of writing, in the place of each first head or MLP, what the second writes in the same clean run."""
        changes = [self._written(two) - self._written(one) for one, two in pairs]
        return self._effects(
            [
                (one.layer, self._write_patch(one, change))
                for (one, _), change in zip(pairs, changes, strict=True)
            ]
        )

    def edges(self, edges: Sequence[Edge]) -> Float[Tensor, "edge pairs"]:
        """Effect of patching each edge alone; raises UsageError for an edge that the model lacks."""
        self.model.graph.mask_of(edges)
        last = self.model.graph.n_layers
        return self._effects(
            [
                (last if edge.input == "logits" else edge.target.layer, self._edge_patch(edge))
                for edge in edges
            ]
        )

    def _record_calls(self) -> ForwardRecord:
        def keep(layer: int) -> Any:
            def hook(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
                self._calls[layer] = (args, kwargs)

            return hook

        with temporary_hooks() as put:
            for layer, parts in enumerate(self.model.subject.parts.layers):
                put.on_call(parts.whole, keep(layer))
            return record(
                self.model, self.pairs.clean, self.pairs.logit_difference, writes_only=True
            )

    def patches(self, patches: Sequence[tuple[int, Patch]]) -> Float[Tensor, "patch pairs"]:
        """Effect of each of any patches, given with its layer."""
        return self._effects(patches)

    def _effects(self, patches: Sequence[tuple[int, Patch]]) -> Float[Tensor, "patch pairs"]:
        by_layer: dict[int, list[int]] = defaultdict(list)
        for index, (layer, _) in enumerate(patches):
            by_layer[layer].append(index)
        effects = self.baseline.new_zeros(len(patches), len(self.pairs))
        at_once = max(1, TOKENS // self.pairs.clean.numel())
        for layer, members in by_layer.items():
            for start in range(0, len(members), at_once):
                some = members[start : start + at_once]
                effects[some] = (
                    self._suffix(layer, [patches[index][1] for index in some]) - self.baseline
                )
        return effects

    @torch.inference_mode()
    def _suffix(self, layer: int, patches: Sequence[Patch]) -> Float[Tensor, "patch pairs"]:
        parts, n = self.model.subject.parts, len(self.pairs)
        with temporary_hooks() as put:
            by_module: dict[nn.Module, list[tuple[Patch, slice]]] = defaultdict(list)
            for index, patch in enumerate(patches):
                by_module[patch.module].append((patch, slice(index * n, (index + 1) * n)))
            for module, some in by_module.items():
                watch = put.on_output if some[0][0].leaving else put.on_input
                watch(module, partial(_patched, some))
            stream = self.clean.stream[layer].repeat(len(patches), 1, 1)
            for at in range(layer, len(parts.layers)):
                args, kwargs = (_repeated(given, n, len(patches)) for given in self._calls[at])
                if args:
                    output = parts.layers[at].whole(stream, *args[1:], **kwargs)
                else:
                    output = parts.layers[at].whole(**{**kwargs, "hidden_states": stream})
                stream = first_tensor(output)
            return self._metric(parts.final_norm(stream[:, -1:])[:, 0]).view(len(patches), n)

    def _metric(self, final: Float[Tensor, "rows d_model"]) -> Float[Tensor, " rows"]:
        """The logit difference of stacked copies of the pairs, from the rows that it needs."""
        unembed = self.model.subject.parts.unembed
        copies = len(final) // len(self.pairs)
        sides: list[Tensor] = []
        for ids in (self.pairs.answer, self.pairs.foil):
            ids = ids.to(final.device).repeat(copies, 1)
            there = ids != PADDING
            logits = torch.einsum(
                "rd,rad->ra", final, cast(Tensor, unembed.weight)[ids.clamp(min=0)]
            )
            bias = cast("Tensor | None", getattr(unembed, "bias", None))
            logits = logits if bias is None else logits + bias[ids.clamp(min=0)]
            sides.append((at_least_float32(logits) * there).sum(1) / there.sum(1))
        return sides[0] - sides[1]

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
        joints = model.readers[layer]
        if edge.input == "mlp":
            return Patch(joints.mlp_norm, change, add=True)
        first = model.graph.first_target(layer)
        slot_index = model.graph.targets.index(Target(edge.target, edge.input), first) - first
        slot = model.qkv_slices[slot_index]
        weights, biases = model.qkv_weights(layer)
        read = joints.attention_norm.forward(self.clean.stream[layer] + change)
        value = read @ weights[slot_index].T + biases[slot_index]
        return Patch(joints.projections[slot.module], value, slot.rows, leaving=True)

    def _write_patch(self, node: Node, change: Float[Tensor, "pairs seq d_model"]) -> Patch:
        if node.kind not in ("head", "mlp") or node not in self.model.graph.sources:
            raise UsageError(
                f"{str(node)!r} given; expected a head or an MLP of {self.model.subject.name}"
            )
        parts = self.model.subject.parts.layers[node.layer]
        return Patch(
            parts.attention_write if node.kind == "head" else parts.mlp_write,
            change,
            leaving=True,
            add=True,
        )

    def _change(self, source: Node) -> Float[Tensor, "pairs seq d_model"]:
        return self._written(source, self.twin) - self._written(source)

    def _written(
        self, source: Node, recording: ForwardRecord | None = None
    ) -> Float[Tensor, "pairs seq d_model"]:
        at = recording or self.clean
        if source.kind == "input":
            return at.stream[0]
        if source.kind == "mlp":
            return at.mlp[source.layer]
        return self.model.head_writes(source.layer, at.z[source.layer])[source.head]


def _patched(patches: Sequence[tuple[Patch, slice]], value: Tensor) -> Tensor:
    new = value.clone()
    for patch, rows in patches:
        patch.apply(new, rows)
    return new


def _repeated(given: Any, rows: int, copies: int) -> Any:
    """A layer's arguments for stacked copies of the batch; what has one row for all is left alone."""
    if isinstance(given, Tensor):
        whole_batch = given.ndim > 0 and len(given) == rows and rows > 1
        return given.repeat(copies, *[1] * (given.ndim - 1)) if whole_batch else given
    if isinstance(given, tuple):
        return tuple(_repeated(item, rows, copies) for item in given)
    if isinstance(given, dict):
        return {key: _repeated(item, rows, copies) for key, item in given.items()}
    return given
