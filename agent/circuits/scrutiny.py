"""What speaks against a circuit on discovery prompts: it may not be minimal, not stable, not the only one."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from ...evals.faithfulness import faithfulness, jaccard
from ...tools.circuits.balance import balanced
from ...tools.circuits.discovery import top_edges
from ...tools.circuits.graph import Graph
from ...tools.circuits.scrutiny import ranked_behind, shared
from .choosing import Choice
from .prompts import Prompts
from .room import Mask, Room

PROMPTS = 8
"""Discovery prompts of the ablation runs here: each edge left out costs a run of all of them."""
EDGES = 8
DRAWS = 6
RIVALS = (1e-6, 0.1, 0.5)
"""What the circuit's own edges still count in the ranking that a rival is grown from."""


def scrutinise(room: Room, prompts: Prompts, choice: Choice) -> dict[str, Any]:
    """Minimality, stability and rivals."""
    some = prompts.some(PROMPTS)
    readings = room.readings(some)

    def f(mask: Mask) -> float:
        return faithfulness(room.run(some, mask), readings.clean, readings.corrupted)

    room.reporter.say("leaving edges out, looking for rivals")
    whole = f(choice.mask)
    return {
        "minimality": _minimality(room, choice, whole, f),
        "stability": stability(room.graph, choice, seed=room.config.seed),
        "rival": _rivals(room.graph, choice, whole, f),
    }


def _minimality(room: Room, choice: Choice, whole: float, f: Any) -> dict[str, Any]:
    """How far f falls without single edges: half of them the strongest, half drawn."""
    edges = room.graph.edges_of(choice.mask)
    size = {
        str(edge): abs(float(choice.scores[at]))
        for edge, at in zip(edges, choice.mask.nonzero(), strict=True)
        for at in [tuple(at.tolist())]
    }
    ranked = sorted(edges, key=lambda edge: -size[str(edge)])
    drawn = np.random.default_rng(room.config.seed).permutation(len(ranked[EDGES // 2 :]))[: EDGES // 2]
    picked = ranked[: EDGES // 2] + [ranked[EDGES // 2 :][at] for at in drawn]
    rows = [{"edge": str(edge), "drop": whole - f(choice.mask & ~room.graph.mask_of([edge]))} for edge in picked]
    strongest, others = ([row["drop"] for row in part] for part in (rows[: EDGES // 2], rows[EDGES // 2 :]))
    return {
        "edges": rows,
        "strongest": float(np.mean(strongest)),
        "random": float(np.mean(others)) if others else None,
    }


def stability(graph: Graph, choice: Choice, draws: int = DRAWS, seed: int = 0) -> dict[str, Any]:
    """Overlap of circuits of the same size from prompts drawn with replacement, by their number."""
    total = len(choice.prompt_scores)
    counts = sorted({min(total, count) for count in (8, 16, 32)} | {total})
    rows = [{"prompts": count, "jaccard": _overlap(graph, choice, count, draws, seed)} for count in counts]
    return {"jaccard": rows[-1]["jaccard"], "draws": draws, "by_prompts": rows}


def _overlap(graph: Graph, choice: Choice, count: int, draws: int, seed: int) -> float:
    rng = np.random.default_rng([seed, count])
    picks = [rng.integers(0, len(choice.prompt_scores), count).tolist() for _ in range(draws)]
    scores = [balanced(choice.prompt_scores[pick].mean(0), choice.balance.weight) for pick in picks]
    masks = [top_edges(graph, each, choice.n_edges).numpy() for each in scores]
    return float(np.mean([jaccard(one, two) for one, two in combinations(masks, 2)]))


def _rivals(graph: Graph, choice: Choice, whole: float, f: Any) -> dict[str, Any]:
    """Circuits of the same size that avoid the first one's edges more or less; on the prompts that chose it."""
    others = [(weight, ranked_behind(graph, choice.ranking, choice.mask, weight)) for weight in RIVALS]
    rows = [{"weight": weight, "f": f(mask), "shared": shared(mask, choice.mask)} for weight, mask in others]
    faithful = [row for row in rows if abs(1 - row["f"]) <= abs(1 - whole) + 0.05]
    least = min((row["shared"] for row in faithful), default=None)
    return {"circuit_f": whole, "tried": rows, "least_shared_of_the_faithful": least}
