"""Runs in which only a circuit's edges carry the prompt: every other edge carries an ablated value.

    what a target reads = the stream + sum over its ablated edges (ablated write - actual write)

A source's actual write is that of this run, in which its own inputs were ablated. An ablated write
is that of the corrupted twin (resample), its mean over the twins at that position (mean), or zero.

The correction of the stream follows Syed et al. 2023 (edge patching), the metric Mueller et al.
2025 (MIB).
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from .circuit_model import CircuitModel
from .edge_run import AblatedWrites, EdgeRun
from .forward_record import record
from .graph import Mask
from .prompts import PromptPairs

Ablation = Literal["resample", "mean", "zero"]
VALUES = 22_000_000
"""Most numbers in one pass's writes of all sources: 128 tokens of the default subject, 301 sources."""


def run_circuit(
    model: CircuitModel, pairs: PromptPairs, mask: Mask, ablation: Ablation = "resample"
) -> Float[Tensor, " pairs"]:
    """The metric of each clean prompt when only the mask's edges carry it."""
    return pairs.logit_difference(circuit_logits(model, pairs, mask, ablation))


def circuit_logits(
    model: CircuitModel,
    pairs: PromptPairs,
    mask: Mask,
    ablation: Ablation = "resample",
    ablated: AblatedWrites | None = None,
) -> Float[Tensor, "pairs vocab"]:
    """Logits of each clean prompt's last position when only the mask's edges carry it.

    Args:
        ablated: the result of `ablated_writes`, to reuse it for many masks; None computes it.

    Raises:
        UsageError: an unknown ablation, or a mask of another model.
    """
    if mask.shape != model.graph.all_edges.shape:
        raise UsageError(
            f"a mask of shape {tuple(mask.shape)} given; expected {tuple(model.graph.all_edges.shape)}"
        )
    ablated = ablated or ablated_writes(model, pairs, ablation)
    tokens_at_once = VALUES // (len(model.graph.sources) * model.subject.d_model)
    with torch.inference_mode():
        batches = [
            _CircuitRun(model, pairs.take(rows), ablated.rows(rows), mask).logits()
            for rows in pairs.row_batches(tokens_at_once)
        ]
        return torch.cat(batches)


def ablated_writes(
    model: CircuitModel, pairs: PromptPairs, ablation: Ablation = "resample"
) -> AblatedWrites:
    """The sources' writes on ablated edges; raises UsageError for an unknown ablation."""
    if ablation not in get_args(Ablation):
        raise UsageError(f"ablation {ablation!r} given; choose {', '.join(get_args(Ablation))}")
    if ablation == "zero":
        return AblatedWrites.zero(model)
    twin = record(model, pairs.corrupted, pairs.logit_difference, writes_only=True)
    writes = AblatedWrites.from_record(twin)
    return writes.mean() if ablation == "mean" else writes


class _CircuitRun(EdgeRun):
    """A run that corrects each reading of the stream for the edges outside the mask."""

    def __init__(
        self, model: CircuitModel, pairs: PromptPairs, ablated: AblatedWrites, mask: Mask
    ) -> None:
        super().__init__(model, pairs, ablated)
        device, dtype = model.subject.device, model.subject.dtype
        self._cut = (model.graph.all_edges & ~mask).T.to(device, dtype)  # target source
        shape = (len(model.graph.sources), *pairs.clean.shape, model.subject.d_model)
        self._changes = torch.zeros(shape, device=device, dtype=dtype)

    def read(
        self, targets: slice, stream: Float[Tensor, "pairs seq d_model"]
    ) -> Float[Tensor, "target pairs seq d_model"]:
        n_sources = self.model.graph.n_sources_before(self.model.graph.targets[targets.start])
        correction = self._cut[targets, :n_sources] @ self._changes[:n_sources].flatten(1)
        return stream + correction.unflatten(1, stream.shape)

    def add_changes(
        self, sources: slice, changes: Float[Tensor, "source pairs seq d_model"]
    ) -> None:
        self._changes[sources] = changes
