"""Edges by integrated gradients over all edges at once: the run moves from one state of the edges
to another.

    what a target reads = the stream + sum over its edges of share x (twin's write - present write)
    score of an edge    = (its share at the end - at the start) x mean over the way of d metric / d share

1. At share 0 an edge carries the clean prompt, at 1 its twin. On the way from all 0 to all 1 every
   edge is mixed, so that saturated attention, thresholds and components that back each other up all
   pass through states in which an edge shows. In the clean run alone its gradient, or even its
   exact effect, may be zero.
2. One pass and one backward pass give the derivatives with respect to all edges' shares. They are
   taken at midpoints of equal steps, shifted a little from pair to pair, so that the pairs together
   see more of the way than each alone.
3. Scores of a pair add up to m(end) - m(start) as the number of steps grows (completeness,
   Sundararajan et al. 2017).
4. For the backward pass a target's reading keeps only what the sources wrote, which is stored once
   for all targets and not once for each.

EAP-IG inputs moves the embeddings alone, and EAP-IG activations one layer's writes at a time (Hanna
et al. 2024; Marks et al. 2024); mask gradients at one share are in AutoCircuit (Miller et al.
2024).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from .circuit_model import CircuitModel
from .edge_run import AblatedWrites, EdgeRun
from .forward_record import record
from .memory import check_fits
from .prompts import PromptPairs

TOKENS = 32
"""Tokens of clean prompts in one pass: the peak is then 1.3 GB on the default subject, 1.5 at twice as many."""
MEMORY_FACTOR = 2.5
"""Memory per token, relative to attribution's: a reading of the stream is kept for each target, and its gradient."""
Shares = Float[Tensor, "source target"]


def attribute_all_edges(
    model: CircuitModel, pairs: PromptPairs, steps: int = 8
) -> Float[Tensor, "pairs source target"]:
    """Estimated effect of moving each edge from clean to twin, by pair; negative: the edge helps
    the clean answer.

    Args:
        steps: forward and backward passes per pair.

    Raises:
        UsageError: fewer than one step.
    """
    shape = model.graph.all_edges.shape
    return integrate_edges(model, pairs, torch.zeros(shape), torch.ones(shape), steps)


def integrate_edges(
    model: CircuitModel, pairs: PromptPairs, start: Shares, end: Shares, steps: int
) -> Float[Tensor, "pairs source target"]:
    """Estimated effect of moving each edge from one share to another while all others move too.

    Raises:
        UsageError: fewer than one step.
    """
    if steps < 1:
        raise UsageError(f"{steps} steps given; integrated gradients need one or more")
    # Midpoints of equal steps, shifted a little from pair to pair.
    offsets = (torch.arange(len(pairs)) + 0.5) / len(pairs)
    levels = (torch.arange(steps)[:, None] + offsets) / steps  # step pair
    means: list[Tensor] = []
    for rows, run in _runs(model, pairs):
        by_step = [
            run.derivatives(start + level[rows, None, None] * (end - start)) for level in levels
        ]
        means.append(torch.stack(by_step).mean(0))
    return torch.cat(means) * (end - start) * model.graph.all_edges


def derivatives(
    model: CircuitModel, pairs: PromptPairs, shares: Shares
) -> Float[Tensor, "pairs source target"]:
    """d metric / d share of every edge, in the state in which each has its share."""
    by_batch = [
        run.derivatives(shares.expand(len(run.pairs), -1, -1)) for _, run in _runs(model, pairs)
    ]
    return torch.cat(by_batch)


def _runs(model: CircuitModel, pairs: PromptPairs) -> Iterator[tuple[slice, _MixtureRun]]:
    """A run for a few pairs at a time, with their rows; raises UsageError if they do not fit into memory."""
    twin = record(model, pairs.corrupted, pairs.logit_difference, writes_only=True)
    writes = AblatedWrites.from_record(twin)
    for rows in pairs.row_batches(TOKENS):
        batch = pairs.take(rows)
        check_fits(model, batch, MEMORY_FACTOR)
        yield slice(rows.start, rows.stop), _MixtureRun(model, batch, writes.rows(rows))


class _PathReading(torch.autograd.Function):
    """stream + shares @ changes. `values` holds the values of `changes`, which are inputs for their
    gradients alone."""

    @staticmethod
    def forward(
        ctx: Any,
        stream: Float[Tensor, "pairs seq d_model"],
        shares: Float[Tensor, "pairs target source"],
        values: Float[Tensor, "pairs source seq_d_model"],
        *changes: Float[Tensor, "pairs some_sources seq d_model"],
    ) -> Float[Tensor, "target pairs seq d_model"]:
        ctx.shares, ctx.values = shares, values
        ctx.counts = [change.shape[1] for change in changes]
        mixed = torch.bmm(shares, values).unflatten(2, stream.shape[1:])
        return mixed.transpose(0, 1) + stream

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> Any:
        gradient = outputs[0].transpose(0, 1)  # pairs target seq d_model
        flat = gradient.flatten(2)
        by_share = torch.bmm(flat, ctx.values.transpose(1, 2))
        by_change = torch.bmm(ctx.shares.transpose(1, 2), flat).unflatten(2, gradient.shape[2:])
        return gradient.sum(1), by_share, None, *by_change.split(ctx.counts, dim=1)


class _MixtureRun(EdgeRun):
    """A run in which each edge carries a share of its twin."""

    def __init__(self, model: CircuitModel, pairs: PromptPairs, twin: AblatedWrites) -> None:
        super().__init__(model, pairs, twin)
        device, dtype = model.subject.device, model.subject.dtype
        shape = (len(pairs), len(model.graph.sources), pairs.n_tokens * model.subject.d_model)
        self._values = torch.zeros(shape, device=device, dtype=dtype)
        # The same changes with their gradients, one tensor per call of `add_writes`.
        self._changes: list[Float[Tensor, "pairs some_sources seq d_model"]] = []
        # Leaves of the graph by first target: pairs target source.
        self._shares: dict[int, Tensor] = {}

    def derivatives(
        self, shares: Float[Tensor, "pairs source target"]
    ) -> Float[Tensor, "pairs source target"]:
        """d metric / d share."""
        # 2. One pass and one backward pass for all edges.
        with torch.enable_grad():
            metric = self.metric(shares)
            gradients = torch.autograd.grad(metric.sum(), list(self._shares.values()))
        full = torch.zeros(shares.shape, dtype=self._values.dtype)
        for first, gradient in zip(self._shares, gradients, strict=True):
            n_targets, n_sources = gradient.shape[1:]
            full[:, :n_sources, first : first + n_targets] = gradient.mT.cpu()
        self._changes, self._shares = [], {}  # free this pass before the next one
        return full

    def metric(self, shares: Float[Tensor, "pairs source target"]) -> Float[Tensor, " pairs"]:
        """The metric of each pair in the state in which each edge has its share."""
        graph = self.model.graph
        groups = [graph.logits_target]
        for layer in range(graph.n_layers):
            groups += [graph.attention_targets(layer), graph.mlp_target(layer)]
        self._changes = []
        self._shares = {targets.start: self._leaf(shares, targets) for targets in groups}
        return self.pairs.logit_difference(self.logits())

    def _leaf(self, shares: Float[Tensor, "pairs source target"], targets: slice) -> Tensor:
        n_sources = self.model.graph.n_sources_before(self.model.graph.targets[targets.start])
        part = shares[:, :n_sources, targets].mT.to(self._values.device, self._values.dtype)
        return part.contiguous().clone().requires_grad_()

    def read(
        self, targets: slice, stream: Float[Tensor, "pairs seq d_model"]
    ) -> Float[Tensor, "target pairs seq d_model"]:
        shares = self._shares[targets.start]
        n_sources = shares.shape[2]
        changes: list[Tensor] = []
        n_changed = 0
        for change in self._changes:
            # With parallel attention and MLP, the heads of this layer have written already but are not read.
            if n_changed < n_sources:
                changes.append(change)
                n_changed += change.shape[1]
        return _PathReading.apply(stream, shares, self._values[:, :n_sources], *changes)  # pyright: ignore[reportReturnType]

    def add_writes(
        self,
        sources: slice,
        written: Float[Tensor, "source pairs seq d_model"],
        ablated: Float[Tensor, "source rows seq d_model"] | None,
    ) -> None:
        assert ablated is not None  # the twins'
        by_pair = (ablated - written).transpose(0, 1)
        self._values[:, sources] = by_pair.detach().flatten(2)
        self._changes.append(by_pair)
