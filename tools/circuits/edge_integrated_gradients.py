"""Edges by integrated gradients over all edges at once: the run moves from one state of the edges
to another.

    what a target reads = the stream + sum over its edges of share x (twin's write - present write)
    score of an edge    = (its share at the end - at the start) x mean over the way of d metric / d share

1. At share 0 an edge carries the clean prompt, at 1 its twin. From all 0 to all 1 every edge is
   mixed in between, so that attention that is sure of itself, thresholds, and components that stand
   in for each other all pass through states in which an edge shows; in the clean run alone its
   gradient, or its exact effect, may be zero.
2. One pass and one backward pass give the derivatives by all edges' shares. Midpoints of equal
   steps, shifted a little from pair to pair, so that the pairs together see more of the way than
   each.
3. Scores of a pair add up to m(end) - m(start) as the steps become many (completeness, Sundararajan
   et al. 2017).
4. For the backward pass a target's reading keeps nothing but what the sources wrote, which is there
   once for all targets and not once for each.

EAP-IG inputs moves the embeddings alone, and EAP-IG activations one layer's writes at a time (Hanna
et al. 2024; Marks et al. 2024); mask gradients at one share are in AutoCircuit (Miller et al.
2024).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from .circuit_model import CircuitModel
from .forward_record import ForwardRecord, record
from .hooks import temporary_hooks
from .memory import check_fits
from .prompts import PromptPairs

TOKENS = 32
"""Tokens of clean prompts in one pass: the peak is then 1.3 GB on the default subject, 1.5 at twice as many."""
APPETITE = 2.5
"""Memory for a token beside attribution's: a reading of the stream is kept for each target, and its gradient."""
Shares = Float[Tensor, "source target"]


def attribute_all_edges(
    model: CircuitModel, pairs: PromptPairs, steps: int = 8
) -> Float[Tensor, "pairs source target"]:
    """Estimated effect of moving each edge from clean to twin, by pair; negative: the edge helps
    the clean answer.

    Args:
        steps: passes and backward passes a pair.

    Raises:
        UsageError: fewer than one step.
    """
    possible = model.graph.all_edges
    return integrate_edges(
        model, pairs, torch.zeros(possible.shape), torch.ones(possible.shape), steps
    )


def integrate_edges(
    model: CircuitModel, pairs: PromptPairs, start: Shares, end: Shares, steps: int
) -> Float[Tensor, "pairs source target"]:
    """Estimated effect of moving each edge from one share to another while all others move too.

    Raises:
        UsageError: fewer than one step.
    """
    if steps < 1:
        raise UsageError(f"{steps} steps given; integrated gradients need one or more")
    twin = record(model, pairs.corrupted, pairs.logit_difference, writes_only=True)
    levels = _levels(len(pairs), steps)
    found = [
        _mean_derivatives(run, start, end, levels[:, run.rows]) for run in _runs(model, pairs, twin)
    ]
    return torch.cat(found) * (end - start) * model.graph.all_edges


def derivatives(
    model: CircuitModel, pairs: PromptPairs, shares: Shares
) -> Float[Tensor, "pairs source target"]:
    """d metric / d share of every edge, in the state in which each has its share."""
    twin = record(model, pairs.corrupted, pairs.logit_difference, writes_only=True)
    found = [
        run.derivatives(shares.expand(len(run.pairs), -1, -1)) for run in _runs(model, pairs, twin)
    ]
    return torch.cat(found)


def _runs(model: CircuitModel, pairs: PromptPairs, twin: ForwardRecord) -> Iterator[_Mixed]:
    """Some pairs at once; raises UsageError, with what would fit, when there is not memory enough for them."""
    for rows in pairs.row_batches(TOKENS):
        some = pairs.take(rows)
        check_fits(model, some, APPETITE)
        yield _Mixed(model, some, twin, slice(rows.start, rows.stop))


def _levels(n: int, steps: int) -> Float[Tensor, "step pair"]:
    """How far on its way each pair is: each starts a little later than the last one."""
    offsets = (torch.arange(n) + 0.5) / n
    return (torch.arange(steps)[:, None] + offsets) / steps


def _mean_derivatives(
    run: _Mixed, start: Shares, end: Shares, levels: Float[Tensor, "step pair"]
) -> Float[Tensor, "pairs source target"]:
    found = [run.derivatives(start + level[:, None, None] * (end - start)) for level in levels]
    return torch.stack(found).mean(0)


class _PathReading(torch.autograd.Function):
    """stream + shares @ writes. `written` holds the values of `writes`, which are inputs for their gradients alone."""

    @staticmethod
    def forward(
        ctx: Any,
        stream: Float[Tensor, "pairs seq d_model"],
        shares: Float[Tensor, "pairs target source"],
        written: Float[Tensor, "pairs source width"],
        *writes: Float[Tensor, "pairs some seq d_model"],
    ) -> Float[Tensor, "target pairs seq d_model"]:
        ctx.shares, ctx.written, ctx.counts = shares, written, [write.shape[1] for write in writes]
        mixed = torch.bmm(shares, written).unflatten(2, stream.shape[1:])
        return mixed.transpose(0, 1) + stream

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> Any:
        gradient = outputs[0].transpose(0, 1)
        flat = gradient.flatten(2)
        by_share = torch.bmm(flat, ctx.written.transpose(1, 2))
        by_write = torch.bmm(ctx.shares.transpose(1, 2), flat).unflatten(2, gradient.shape[2:])
        return gradient.sum(1), by_share, None, *by_write.split(ctx.counts, dim=1)


class _Mixed:
    def __init__(
        self, model: CircuitModel, pairs: PromptPairs, twin: ForwardRecord, rows: slice
    ) -> None:
        self.model, self.pairs, self.twin, self.rows = model, pairs, twin, rows
        device, dtype = model.subject.device, model.subject.dtype
        shape = (len(pairs), len(model.graph.sources), pairs.n_tokens * model.subject.d_model)
        self.written = torch.zeros(
            shape, device=device, dtype=dtype
        )  # the twin's write - the present write
        self.writes: list[
            Float[Tensor, "pairs some seq d_model"]
        ] = []  # the same, with their gradients
        self.shares: dict[int, Tensor] = {}

    def derivatives(
        self, shares: Float[Tensor, "pairs source target"]
    ) -> Float[Tensor, "pairs source target"]:
        """d metric / d share."""
        with torch.enable_grad():
            metric = self.metric(shares)
            found = torch.autograd.grad(metric.sum(), list(self.shares.values()))
        full = torch.zeros(shares.shape, dtype=self.written.dtype)
        for first, part in zip(self.shares, found, strict=True):
            full[:, : part.shape[2], first : first + part.shape[1]] = part.mT.cpu()
        self.writes, self.shares = [], {}  # the graph of this pass goes before the next one is made
        return full

    def metric(self, shares: Float[Tensor, "pairs source target"]) -> Float[Tensor, " pairs"]:
        """The metric of each pair in the state in which each edge has its share."""
        model, graph = self.model, self.model.graph
        self.writes = []
        self.shares = {targets.start: self._leaf(shares, targets) for targets in self._groups()}
        with temporary_hooks() as put:
            for layer, (joints, parts) in enumerate(
                zip(model.readers, model.subject.parts.layers, strict=True)
            ):
                values: dict[int, Tensor] = {}
                put.on_input(joints.attention_norm, partial(self._project, layer, values))
                for index, module in enumerate(joints.projections):
                    put.on_output(module, partial(self._replace, values, index))
                put.on_input(parts.attention_out, partial(self._heads, layer))
                put.on_input(
                    joints.mlp_norm,
                    partial(self._mixed, graph.first_target(layer) + graph.attention_width),
                )
                put.on_output(parts.mlp_write, partial(self._mlp, layer))
            put.on_input(
                model.subject.parts.final_norm,
                partial(self._mixed, graph.first_target(graph.n_layers)),
            )
            return self.pairs.logit_difference(model.logits(self.pairs.clean))

    def _groups(self) -> Iterator[slice]:
        """Targets that are read together: each layer's attention, each MLP, the logits."""
        graph = self.model.graph
        for layer in range(graph.n_layers):
            first = graph.first_target(layer)
            yield slice(first, first + graph.attention_width)
            yield slice(first + graph.attention_width, first + graph.attention_width + 1)
        final = graph.first_target(graph.n_layers)
        yield slice(final, final + 1)

    def _leaf(self, shares: Float[Tensor, "pairs source target"], targets: slice) -> Tensor:
        count = self.model.graph.n_sources_before(self.model.graph.targets[targets.start])
        part = shares[:, :count, targets].mT.to(self.written.device, self.written.dtype)
        return part.contiguous().clone().requires_grad_()

    def _readings(self, first: int, stream: Tensor) -> Float[Tensor, "target pairs seq d_model"]:
        shares = self.shares[first]
        count, known, writes = shares.shape[2], 0, list[Tensor]()
        for write in self.writes:
            if (
                known < count
            ):  # an MLP beside its layer's attention does not read the heads of its layer
                writes.append(write)
                known += write.shape[1]
        return _PathReading.apply(stream, shares, self.written[:, :count], *writes)  # pyright: ignore[reportReturnType]

    def _mixed(self, first: int, stream: Tensor) -> Tensor:
        return self._readings(first, stream)[0]

    def _project(self, layer: int, values: dict[int, Tensor], stream: Tensor) -> None:
        if layer == 0:
            self._write(0, (self.twin.stream[0][self.rows] - stream)[:, None])
        readings = self._readings(self.model.graph.first_target(layer), stream)
        normed = self.model.readers[layer].attention_norm.forward(
            readings
        )  # forward: past this very hook
        weights, biases = self.model.qkv_weights(layer)
        values.update(
            enumerate(torch.einsum("hbsd,hkd->hbsk", normed, weights) + biases[:, None, None])
        )

    def _replace(self, values: dict[int, Tensor], module: int, output: Tensor) -> Tensor:
        new = output.clone()
        for index, slot in enumerate(self.model.qkv_slices):
            if slot.module == module:
                new[..., slot.rows] = values[index]
        return new

    def _heads(self, layer: int, z: Tensor) -> None:
        first = 1 + layer * (self.model.graph.n_heads + 1)
        self._write(
            first, self.model.head_writes(layer, self.twin.z[layer][self.rows] - z).transpose(0, 1)
        )

    def _mlp(self, layer: int, written: Tensor) -> None:
        self._write(
            (layer + 1) * (self.model.graph.n_heads + 1),
            (self.twin.mlp[layer][self.rows] - written)[:, None],
        )

    def _write(self, first: int, write: Float[Tensor, "pairs some seq d_model"]) -> None:
        self.written[:, first : first + write.shape[1]] = write.detach().flatten(2)
        self.writes.append(write)
