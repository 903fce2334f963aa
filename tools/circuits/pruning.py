"""Greedy pruning (ACDC, Conmy et al. 2023): what can be left out goes, what is left is the circuit.

1. Begin with all edges, or some that a ranking found, and go through the targets from the logits
   back to the input.
2. Try the circuit without edges of a target, the weakest in the ranking first: half of those left
   at once, and where that costs more than the threshold, half of that half, down to single edges.
3. The cost is how much farther from the model's the metric comes, pair by pair, as a share of what
   the twins take away. So an edge that works against the answer stays as well as one that works for
   it; ACDC takes the divergence of the outputs, which does the same. Edges whose cost stays below
   the threshold go.

An edge's effect is the change of the metric when it was tried last, shared with those that were
left out beside it. It depends on what had gone before, and each try is a run of all prompts: many
times dearer than any attribution.
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
    """What is left, each edge's effect (0 for those that were not there to be tried), and how many runs that took."""

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
    """Leave out edges of `start` (all, unless said) as long as each try costs less than
    `threshold`.

    Raises:
        UsageError: the metric is the same with every edge ablated.
    """
    run = _Pruning(model, pairs, model.graph.all_edges if start is None else start, ablation)
    for target in reversed(range(len(model.graph.targets))):
        edges = run.mask[:, target].nonzero()[:, 0].tolist()
        waiting = [sorted(edges, key=lambda source: abs(float(scores[source, target])))]
        while waiting:
            batch = waiting.pop()
            half = len(batch) // 2
            if batch and not run.leave_out(batch, target, threshold) and half:
                waiting += [batch[half:], batch[:half]]
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
        """Whether these edges of a target went."""
        without = self.mask.clone()
        without[sources, target] = False
        found = self._metric(without)
        self.effects[:, sources, target] = (found - self.metric)[:, None] / len(sources)
        if self._distance(found) - self._distance(self.metric) >= threshold:
            return False
        self.mask, self.metric = without, found
        return True

    def _metric(self, mask: Mask) -> Float[Tensor, " pairs"]:
        self.runs += 1
        return run_circuit(self.model, self.pairs, mask, self.ablation).cpu()

    def _distance(self, metric: Float[Tensor, " pairs"]) -> float:
        return float((metric - self.model_metric).abs().mean()) / self.scale
