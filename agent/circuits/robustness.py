"""What speaks against a circuit on discovery prompts: it may not be minimal, not stable, not the only one."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from ...evals.statistics.faithfulness import faithfulness, jaccard
from ...tools.circuits.graph import Edge, Graph, Mask
from ...tools.circuits.robustness import Faithfulness, minimality, resampled_circuits, rival
from .choose_circuit import Choice
from .context import CircuitContext
from .prompts import Prompts

PROMPTS = 8
"""Discovery prompts of the ablation runs here: each edge left out costs a run of all of them."""
EDGES = 8
DRAWS = 6
RIVALS = (1e-6, 0.1, 0.5)
"""What the circuit's own edges still count in the ranking that a rival is grown from."""


def scrutinise(room: CircuitContext, prompts: Prompts, choice: Choice) -> dict[str, Any]:
    """Minimality, stability and rivals."""
    some = prompts.some(PROMPTS)
    readings = room.readings(some)

    def f(mask: Mask) -> float:
        return faithfulness(room.run(some, mask), readings.clean, readings.corrupted)

    room.reporter.say("leaving edges out, looking for rivals")
    return {
        "minimality": _minimality(room, choice, f),
        "stability": stability(room.graph, choice, seed=room.config.seed),
        "rival": _rivals(room.graph, choice, f),
    }


def _minimality(room: CircuitContext, choice: Choice, f: Faithfulness) -> dict[str, Any]:
    """How far f falls without single edges: half of them the strongest, half drawn."""
    edges = _picked(room, choice)
    drops = minimality(f, room.graph, choice.mask, edges)
    strongest, others = drops[: EDGES // 2], drops[EDGES // 2 :]
    return {
        "edges": [
            {"edge": str(edge), "drop": drop} for edge, drop in zip(edges, drops, strict=True)
        ],
        "strongest": float(np.mean(strongest)),
        "random": float(np.mean(others)) if others else None,
    }


def _picked(room: CircuitContext, choice: Choice) -> list[Edge]:
    edges = room.graph.edges_of(choice.mask)  # in the order of the mask's own indices
    order = choice.scores[choice.mask].abs().argsort(descending=True, stable=True).tolist()
    strongest, rest = order[: EDGES // 2], order[EDGES // 2 :]
    drawn = np.random.default_rng(room.config.seed).permutation(len(rest))[: EDGES // 2]
    return [edges[at] for at in (*strongest, *(rest[at] for at in drawn))]


def stability(graph: Graph, choice: Choice, draws: int = DRAWS, seed: int = 0) -> dict[str, Any]:
    """Overlap of circuits of the same size from prompts drawn with replacement, by their number."""
    total = len(choice.prompt_scores)
    counts = sorted({min(total, count) for count in (8, 16, 32)} | {total})
    rows = [
        {"prompts": count, "jaccard": _overlap(graph, choice, count, draws, seed)}
        for count in counts
    ]
    return {"jaccard": rows[-1]["jaccard"], "draws": draws, "by_prompts": rows}


def _overlap(graph: Graph, choice: Choice, count: int, draws: int, seed: int) -> float:
    weight = choice.balance.weight
    masks = resampled_circuits(
        graph,
        choice.prompt_scores,
        choice.n_edges,
        prompts=count,
        draws=draws,
        weight=weight,
        seed=seed,
    )
    return float(
        np.mean([jaccard(one.numpy(), two.numpy()) for one, two in combinations(masks, 2)])
    )


def _rivals(graph: Graph, choice: Choice, f: Faithfulness) -> dict[str, Any]:
    """Circuits of the same size that avoid the first one's edges more or less; on the prompts that chose it."""
    whole = f(choice.mask)
    others = [(weight, rival(f, graph, choice.ranking, choice.mask, weight)) for weight in RIVALS]
    rows = [{"weight": weight, "f": other.f, "shared": other.shared} for weight, other in others]
    faithful = [row for row in rows if abs(1 - row["f"]) <= abs(1 - whole) + 0.05]
    least = min((row["shared"] for row in faithful), default=None)
    return {"circuit_f": whole, "tried": rows, "least_shared_of_the_faithful": least}
