"""Greedy pruning (ACDC, Conmy et al. 2023): leave out edges as long as it costs little; the rest is
the circuit.

1. Begin with all edges, or with those that a ranking puts first, and go through the targets from
   the logits back to the input.
2. Try the circuit without a target's edges; if that costs more than the threshold, without the
   weaker and the stronger half apart, and so on down to single edges.
3. The cost is how much farther the metric moves from the model's, pair by pair, as a share of what
   the twins take away. So an edge that works against the answer is kept like one that works for it;
   ACDC uses the divergence of the outputs, which has the same property. Edges that cost less than
   the threshold are removed.

An edge's effect is the change of the metric when it was last tried, shared with the edges left out
together with it. It depends on what was removed before. Each try is a run of all prompts, which
makes pruning many times more expensive than any attribution.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from .ablation import Ablation, run_circuit
from .circuit_model import CircuitModel
from .graph import Mask
from .prompts import PromptPairs

THRESHOLD = 0.01


class Pruned(NamedTuple):
    """What is left, each edge's effect (0 for edges that were not in the start), and how many runs it took."""

    mask: Mask
    effects: Float[Tensor, "pairs source target"]
    runs: int


def prune(
    model: CircuitModel,
    pairs: PromptPairs,
    scores: Float[Tensor, "source target"],
    threshold: float = THRESHOLD,
    start: Mask | None = None,
    ablation: Ablation = "resample",
) -> Pruned:
    """Leave out edges of `start` (default: all) as long as each try costs less than `threshold`.

    Raises:
        UsageError: the metric is the same with every edge ablated.
    """
    run = _Pruning(model, pairs, model.graph.all_edges if start is None else start, ablation)
    for target in reversed(range(len(model.graph.targets))):
        edges = run.mask[:, target].nonzero()[:, 0].tolist()
        # The weakest come first; a batch that cannot be left out is tried in halves.
        batches = [sorted(edges, key=lambda source: abs(float(scores[source, target])))]
        while batches:
            batch = batches.pop()
            half = len(batch) // 2
            if batch and not run.leave_out(batch, target, threshold) and half:
                batches += [batch[half:], batch[:half]]
    return Pruned(run.mask, run.effects, run.runs)


class _Pruning:
    def __init__(
        self, model: CircuitModel, pairs: PromptPairs, start: Mask, ablation: Ablation
    ) -> None:
        self.model, self.pairs, self.runs = model, pairs, 0
        self.ablation: Ablation = ablation
        self.mask = start.clone()
        self.model_metric = self._metric(model.graph.all_edges)
        self.scale = float((self.model_metric - self._metric(torch.zeros_like(start))).mean().abs())
        if not self.scale:
            raise UsageError(
                "the subject's metric is the same with every edge ablated; these prompts have no circuit"
            )
        self.metric = self._metric(start)
        self.effects = torch.zeros(len(pairs), *start.shape, dtype=self.metric.dtype)

    def leave_out(self, sources: list[int], target: int, threshold: float) -> bool:
        """Leave out these edges of a target if it costs little; returns whether it did."""
        without = self.mask.clone()
        without[sources, target] = False
        metric = self._metric(without)
        self.effects[:, sources, target] = (metric - self.metric)[:, None] / len(sources)
        if self._distance(metric) - self._distance(self.metric) >= threshold:
            return False
        self.mask, self.metric = without, metric
        return True

    def _metric(self, mask: Mask) -> Float[Tensor, " pairs"]:
        self.runs += 1
        return run_circuit(self.model, self.pairs, mask, self.ablation).cpu()

    def _distance(self, metric: Float[Tensor, " pairs"]) -> float:
        return float((metric - self.model_metric).abs().mean()) / self.scale
