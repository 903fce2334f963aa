"""What speaks against a circuit, on discovery prompts: it may not be minimal, stable or unique."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ...evals.statistics.faithfulness import faithfulness, jaccard
from ...tools.circuits.graph import Edge, Graph, Mask
from ...tools.circuits.robustness import (
    Faithfulness,
    circuits_without,
    minimality,
    resampled_circuits,
    rival_circuit,
    shared_edges,
)
from .choose_circuit import ChosenCircuit
from .context import CircuitContext
from .measurements import CircuitMetric
from .prompts import PromptSet
from .result import EdgeDropRow, MinimalityRow, OverlapRow, RivalRow, RivalsRow, StabilityRow

PROMPTS = 8
"""Discovery prompts of the runs here: each edge left out costs a run of all of them."""
EDGES = 8
DRAWS = 6
RIVALS = (1e-6, 0.1, 0.5)
"""What the circuit's own edges still count in the ranking that a rival is grown from."""
AS_FAITHFUL = 0.05
"""A rival counts as faithful if its f is at most this much farther from 1."""


@dataclass(frozen=True)
class RobustnessFindings:
    """Minimality, stability and rivals."""

    minimality: MinimalityRow
    stability: StabilityRow | None
    rival: RivalsRow


def check_robustness(
    context: CircuitContext, prompts: PromptSet, choice: ChosenCircuit
) -> RobustnessFindings:
    """Leave single edges out, find the circuit again on resampled prompts, and look for rivals."""
    subset = prompts.subset(PROMPTS)
    differences = context.logit_differences(subset)

    def f(mask: Mask) -> float:
        metric = context.circuit_metric(subset, mask)
        return faithfulness(metric, differences.clean, differences.corrupted)

    context.reporter.say("leaving edges out, looking for rivals")
    graph = context.graph
    edges = _strongest_and_random(context, choice)
    rivals = [rival_circuit(graph, choice.ranking, choice.mask, weight) for weight in RIVALS]
    circuits = (choice.mask, *circuits_without(graph, choice.mask, edges), *rivals)
    context.ahead(*((subset, CircuitMetric.of(mask)) for mask in circuits))
    return RobustnessFindings(
        _minimality(graph, choice.mask, edges, f),
        _stability(graph, choice, context.config.seed),
        _rivals(rivals, choice.mask, f),
    )


def _minimality(graph: Graph, mask: Mask, edges: Sequence[Edge], f: Faithfulness) -> MinimalityRow:
    drops = minimality(f, graph, mask, edges)
    strongest, random = drops[: EDGES // 2], drops[EDGES // 2 :]
    return {
        "edges": [
            EdgeDropRow(edge=str(edge), drop=drop) for edge, drop in zip(edges, drops, strict=True)
        ],
        "strongest": float(np.mean(strongest)),
        "random": float(np.mean(random)) if random else None,
    }


def _strongest_and_random(context: CircuitContext, choice: ChosenCircuit) -> list[Edge]:
    edges = context.graph.edges_of(choice.mask)  # in the order of the mask's own indices
    order = choice.scores[choice.mask].abs().argsort(descending=True, stable=True).tolist()
    strongest, rest = order[: EDGES // 2], order[EDGES // 2 :]
    drawn = np.random.default_rng(context.config.seed).permutation(len(rest))[: EDGES // 2]
    return [edges[i] for i in (*strongest, *(rest[i] for i in drawn))]


def _stability(graph: Graph, choice: ChosenCircuit, seed: int) -> StabilityRow | None:
    """Overlap of circuits of the same size, each found on prompts drawn with replacement."""
    if choice.prompt_scores is None:
        return None
    total = len(choice.prompt_scores)
    rows: list[OverlapRow] = []
    for count in sorted({min(total, count) for count in (8, 16, 32)} | {total}):
        masks = resampled_circuits(
            graph,
            choice.prompt_scores,
            choice.n_edges,
            prompts=count,
            draws=DRAWS,
            weight=choice.balance.weight,
            seed=seed,
        )
        overlaps = [jaccard(left.numpy(), right.numpy()) for left, right in combinations(masks, 2)]
        rows.append({"prompts": count, "jaccard": float(np.mean(overlaps))})
    return {"jaccard": rows[-1]["jaccard"], "draws": DRAWS, "by_prompts": rows}


def _rivals(rivals: Sequence[Mask], first: Mask, f: Faithfulness) -> RivalsRow:
    """Circuits of the same size that avoid the first one's edges more or less, on the prompts that chose it."""
    circuit_f = f(first)
    rows = [
        RivalRow(weight=weight, f=f(mask), shared=shared_edges(mask, first))
        for weight, mask in zip(RIVALS, rivals, strict=True)
    ]
    farthest = abs(1 - circuit_f) + AS_FAITHFUL
    faithful = [row["shared"] for row in rows if abs(1 - row["f"]) <= farthest]
    return {
        "circuit_f": circuit_f,
        "tried": rows,
        "least_shared_of_the_faithful": min(faithful, default=None),
    }
