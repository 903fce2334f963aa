"""Edges by integrated gradients over all edges at once: the run moves from clean to twin, every edge by the same share.

    what a target reads = the stream + share x sum over its edges (twin's write - present write)
    score of an edge    = mean over shares of d metric / d (this edge's share)

1. At share 0 the run is the clean one, at 1 it is the twin's. Between them all edges are mixed, so that attention that
   is sure of itself, thresholds, and components that stand in for each other all pass through states in which an edge
   shows; in the clean run alone its gradient, or its exact effect, may be zero.
2. One pass and one backward pass give the derivatives by all edges' shares. Midpoints of equal steps, shifted a little
   from pair to pair, so that the pairs together see more of the way than each.
3. Scores of a pair add up to m(twin) - m(clean) as the steps become many (completeness, Sundararajan et al. 2017).

EAP-IG inputs moves the embeddings alone, and EAP-IG activations one layer's writes at a time (Hanna et al. 2024; Marks
et al. 2024); mask gradients at one share are in AutoCircuit (Miller et al. 2024).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from .prompts import PromptPairs
from .recording import Recording, record
from .wiring import CircuitModel, hooks

ROWS = 4
"""Pairs in one pass: a backward pass keeps what all sources wrote at every target."""


def attribute_mixed(model: CircuitModel, pairs: PromptPairs, steps: int = 8) -> Float[Tensor, "pairs source target"]:
    """Estimated effect of moving each edge from clean to twin, by pair; negative: the edge helps the clean answer.

    Args:
        steps: passes and backward passes a pair.

    Raises:
        UsageError: fewer than one step.
    """
    if steps < 1:
        raise UsageError(f"{steps} steps given; integrated gradients need one or more")
    twin = record(model, pairs.corrupted, pairs.logit_difference)
    found = [
        _integral(_Mixed(model, pairs.take(range(start, stop)), twin, slice(start, stop)), shares)
        for start, stop, shares in _batches(len(pairs), steps)
    ]
    return torch.cat(found).mT.cpu() * model.graph.possible


def _batches(n: int, steps: int) -> Iterator[tuple[int, int, Float[Tensor, "step pair"]]]:
    """Bounds of each batch of pairs and its shares: each pair's steps start a little later than the last one's."""
    offsets = (torch.arange(n) + 0.5) / n
    shares = (torch.arange(steps)[:, None] + offsets) / steps
    for start in range(0, n, ROWS):
        stop = min(start + ROWS, n)
        yield start, stop, shares[:, start:stop]


def _integral(run: _Mixed, shares: Float[Tensor, "step pair"]) -> Float[Tensor, "pair target source"]:
    shape = run.model.graph.possible.T.shape
    total = torch.zeros(())
    for level in shares:
        each = level[:, None, None].expand(-1, *shape).to(run.model.subject.device, run.model.subject.dtype)
        with torch.enable_grad():
            each = each.clone().requires_grad_()
            total = total + torch.autograd.grad(run.metric(each).sum(), each)[0]
    return total / len(shares)


class _Mixed:
    def __init__(self, model: CircuitModel, pairs: PromptPairs, twin: Recording, rows: slice) -> None:
        self.model, self.pairs, self.twin, self.rows = model, pairs, twin, rows
        self.deltas: list[Float[Tensor, "source pairs seq d_model"]] = []  # twin's write - present write
        self.shares = torch.zeros(())

    def metric(self, shares: Float[Tensor, "pairs target source"]) -> Float[Tensor, " pairs"]:
        self.shares, self.deltas = shares, []
        model, graph = self.model, self.model.graph
        with hooks() as put:
            for layer, (joints, parts) in enumerate(zip(model.joints, model.subject.parts.layers, strict=True)):
                values: dict[int, Tensor] = {}
                put.entering(joints.attention_norm, partial(self._project, layer, values))
                for index, module in enumerate(joints.projections):
                    put.leaving(module, partial(self._replace, values, index))
                put.entering(parts.attention_out, partial(self._heads, layer))
                mlp_target = graph.first_target(layer) + graph.attention_width
                put.entering(joints.mlp_norm, partial(self._mixed, slice(mlp_target, mlp_target + 1)))
                put.leaving(parts.mlp_write, partial(self._mlp, layer))
            final = graph.first_target(graph.n_layers)
            put.entering(model.subject.parts.final_norm, partial(self._mixed, slice(final, final + 1)))
            return self.pairs.logit_difference(model.logits(self.pairs.clean))

    def _readings(self, targets: slice, stream: Tensor) -> Float[Tensor, "target pairs seq d_model"]:
        count = self.model.graph.n_before(self.model.graph.targets[targets.start])
        deltas = torch.cat(self.deltas)[:count]
        return stream + torch.einsum("pts,spqd->tpqd", self.shares[:, targets, :count], deltas)

    def _mixed(self, targets: slice, stream: Tensor) -> Tensor:
        return self._readings(targets, stream)[0]

    def _project(self, layer: int, values: dict[int, Tensor], stream: Tensor) -> None:
        if layer == 0:
            self.deltas.append((self.twin.stream[0][self.rows] - stream)[None])
        first = self.model.graph.first_target(layer)
        readings = self._readings(slice(first, first + self.model.graph.attention_width), stream)
        normed = self.model.joints[layer].attention_norm.forward(readings)  # forward: past this very hook
        weights, biases = self.model.projection(layer)
        values.update(enumerate(torch.einsum("hbsd,hkd->hbsk", normed, weights) + biases[:, None, None]))

    def _replace(self, values: dict[int, Tensor], module: int, output: Tensor) -> Tensor:
        new = output.clone()
        for index, slot in enumerate(self.model.slots):
            if slot.module == module:
                new[..., slot.rows] = values[index]
        return new

    def _heads(self, layer: int, z: Tensor) -> None:
        self.deltas.append(self.model.writes(layer, self.twin.z[layer][self.rows] - z))

    def _mlp(self, layer: int, written: Tensor) -> None:
        self.deltas.append((self.twin.mlp[layer][self.rows] - written)[None])
