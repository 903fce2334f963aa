"""Runs in which only a circuit's edges carry the prompt: every other edge carries an ablated value.

    what a target reads = the stream as it is + sum over its ablated edges (ablated write - present
    write)

1. The present write of a source is its write in this run, in which its own inputs were ablated.
2. Each query, key and value is projected from its own reading of the stream; keys and values stay
   one a key-value head.
3. An ablated write comes from the corrupted twin (resample), its mean over the twins at that
   position, or is zero.

Source of the corrected stream: Syed et al. 2023 (edge patching); of the metric: Mueller et al. 2025
(MIB).
"""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..errors import UsageError
from .circuit_model import CircuitModel
from .forward_record import ForwardRecord, record
from .hooks import temporary_hooks
from .prompts import PromptPairs

Ablation = Literal["resample", "mean", "zero"]
VALUES = 22_000_000
"""Numbers that the writes of all sources may be in one pass: 128 tokens of the default subject, with 301 sources."""


def run_circuit(
    model: CircuitModel,
    pairs: PromptPairs,
    mask: Bool[Tensor, "source target"],
    ablation: Ablation = "resample",
) -> Float[Tensor, " pairs"]:
    """The metric of each clean prompt when only the mask's edges carry it."""
    return pairs.logit_difference(circuit_logits(model, pairs, mask, ablation))


def circuit_logits(
    model: CircuitModel,
    pairs: PromptPairs,
    mask: Bool[Tensor, "source target"],
    ablation: Ablation = "resample",
    twins: AblatedWrites | None = None,
) -> Float[Tensor, "pairs vocab"]:
    """Logits of each clean prompt's last position when only the mask's edges carry it.

    Args:
        twins: what `ablated` gives, for many masks of the same pairs; None makes it.
    """
    if ablation not in get_args(Ablation):
        raise UsageError(f"ablation {ablation!r} given; choose {', '.join(get_args(Ablation))}")
    if mask.shape != model.graph.all_edges.shape:
        raise UsageError(
            f"a mask of shape {tuple(mask.shape)} given; expected {tuple(model.graph.all_edges.shape)}"
        )
    twins = ablated_writes(model, pairs, ablation) if twins is None else twins
    at_once = VALUES // (len(model.graph.sources) * model.subject.d_model)
    found = [
        _Run(model, pairs.take(rows), mask, twins and twins.rows(rows)).logits()
        for rows in pairs.row_batches(at_once)
    ]
    return torch.cat(found)


class AblatedWrites:
    """What the sources write in the ablated state; one row for all pairs when it is a mean."""

    def __init__(self, embedding: Tensor, z: dict[int, Tensor], mlp: dict[int, Tensor]) -> None:
        self.embedding, self.z, self.mlp = embedding, z, mlp

    @classmethod
    def of(cls, recording: ForwardRecord) -> AblatedWrites:
        return cls(recording.stream[0], recording.z, recording.mlp)

    def rows(self, rows: range) -> AblatedWrites:
        if len(self.embedding) == 1:
            return self
        at = slice(rows.start, rows.stop)
        cut = [{layer: value[at] for layer, value in group.items()} for group in (self.z, self.mlp)]
        return AblatedWrites(self.embedding[at], *cut)

    def mean(self) -> AblatedWrites:
        groups = [
            {layer: value.mean(0, keepdim=True) for layer, value in group.items()}
            for group in (self.z, self.mlp)
        ]
        return AblatedWrites(self.embedding.mean(0, keepdim=True), *groups)


def ablated_writes(
    model: CircuitModel, pairs: PromptPairs, ablation: Ablation = "resample"
) -> AblatedWrites | None:
    """What the sources write where an edge is cut; None for zeros."""
    if ablation == "zero":
        return None
    twins = AblatedWrites.of(
        record(model, pairs.corrupted, pairs.logit_difference, writes_only=True)
    )
    return twins.mean() if ablation == "mean" else twins


class _Run:
    def __init__(
        self,
        model: CircuitModel,
        pairs: PromptPairs,
        mask: Bool[Tensor, "source target"],
        twins: AblatedWrites | None,
    ) -> None:
        self.model, self.pairs, self.twins = model, pairs, twins
        device = model.subject.device
        self.cut = (model.graph.all_edges & ~mask).T.to(
            device, model.subject.dtype
        )  # target source
        shape = (len(model.graph.sources), *pairs.clean.shape, model.subject.d_model)
        self.deltas = torch.zeros(
            shape, dtype=model.subject.dtype, device=device
        )  # ablated write - present write

    def logits(self) -> Float[Tensor, "pairs vocab"]:
        model, graph = self.model, self.model.graph
        with temporary_hooks() as put, torch.inference_mode():
            for layer, (joints, parts) in enumerate(
                zip(model.readers, model.subject.parts.layers, strict=True)
            ):
                values: dict[int, Tensor] = {}
                put.on_input(joints.attention_norm, partial(self._project, layer, values))
                for index, module in enumerate(joints.projections):
                    put.on_output(module, partial(self._replace, values, index))
                put.on_input(parts.attention_out, partial(self._heads, layer))
                mlp_target = graph.first_target(layer) + graph.attention_width
                put.on_input(
                    joints.mlp_norm, partial(self._corrected, slice(mlp_target, mlp_target + 1))
                )
                put.on_output(parts.mlp_write, partial(self._mlp, layer))
            final = graph.first_target(graph.n_layers)
            put.on_input(
                model.subject.parts.final_norm, partial(self._corrected, slice(final, final + 1))
            )
            return model.logits(self.pairs.clean)

    def _readings(
        self, targets: slice, stream: Tensor
    ) -> Float[Tensor, "target pairs seq d_model"]:
        count = self.model.graph.n_sources_before(self.model.graph.targets[targets.start])
        correction = self.cut[targets, :count] @ self.deltas[:count].flatten(1)
        return stream + correction.unflatten(1, stream.shape)

    def _corrected(self, targets: slice, stream: Tensor) -> Tensor:
        return self._readings(targets, stream)[0]

    def _project(self, layer: int, values: dict[int, Tensor], stream: Tensor) -> None:
        if layer == 0:
            self.deltas[0] = (0 if self.twins is None else self.twins.embedding) - stream
        first = self.model.graph.first_target(layer)
        readings = self._readings(slice(first, first + self.model.graph.attention_width), stream)
        normed = self.model.readers[layer].attention_norm.forward(
            readings
        )  # forward: past this very hook
        weights, biases = self.model.qkv_weights(layer)
        projected = torch.einsum("hbsd,hkd->hbsk", normed, weights) + biases[:, None, None]
        values.update(enumerate(projected))

    def _replace(self, values: dict[int, Tensor], module: int, output: Tensor) -> Tensor:
        new = output.clone()
        for index, slot in enumerate(self.model.qkv_slices):
            if slot.module == module:
                new[..., slot.rows] = values[index]
        return new

    def _heads(self, layer: int, z: Tensor) -> None:
        first = 1 + layer * (self.model.graph.n_heads + 1)
        change = -z if self.twins is None else self.twins.z[layer] - z
        self.deltas[first : first + self.model.graph.n_heads] = self.model.head_writes(
            layer, change
        )

    def _mlp(self, layer: int, written: Tensor) -> None:
        self.deltas[(layer + 1) * (self.model.graph.n_heads + 1)] = (
            0 if self.twins is None else self.twins.mlp[layer]
        ) - written
