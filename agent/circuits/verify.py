"""Held-out prompts, opened once: what the circuit and every role are worth on prompts that nobody
looked at.

This is the only module that draws them. By then the circuit is chosen and every prediction stands
in the log.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any, get_args

import numpy as np

from ...evals.statistics.ability import mean_over_prompts
from ...evals.statistics.faithfulness import (
    SIZES,
    faithfulness,
    faithfulness_curve,
    faithfulness_interval,
)
from ...tools.circuits.ablation import Ablation
from ...tools.circuits.discovery import node_level_circuit, random_circuit, top_edges
from ...tools.circuits.graph import Mask, Node
from ...tools.circuits.tasks.heldout import heldout
from .choose_circuit import Choice
from .context import CircuitContext, Measurements, Numbers
from .observe import Components, nodes_of, observed
from .prompts import Prompts, as_json, from_json
from .roles import Role, Seen, adjudicate

CURVE_PROMPTS = 24
"""Held-out prompts of the curve's ten sizes; at the chosen size all are used."""
PANEL_PROMPTS = 12
"""Of the panel of ablations, twelve runs of each."""
RANDOM_PROMPTS = 8
"""Of the random circuits at each size; at the chosen size all are used."""
SWAPS = 6
"""Pairs of one role that are interchanged."""

Result = dict[str, Any]


def verify(
    room: CircuitContext, choice: Choice, parts: Components, roles: tuple[Role, ...]
) -> Result:
    """Everything that is measured on held-out prompts."""
    prompts = _open(room)
    readings = room.readings(prompts)
    found: Result = {
        "heldout": len(prompts),
        "metric": {"model": readings.clean, "corrupted": readings.corrupted},
    }
    found |= _faithfulness(room, choice, prompts, readings)
    found["panel"] = _panel(room, choice, prompts.some(PANEL_PROMPTS))
    found["nodes"] = tested_roles(room, prompts, parts, roles)
    found["interchange"] = _interchange(room, prompts, parts.nodes, roles)
    return found


def _open(room: CircuitContext) -> Prompts:
    from ...tools.circuits.tasks.prepared import lexicon, prepare

    def draw() -> Any:
        subject, config = room.model.subject, room.config
        drawn = heldout(room.task, config.seed, lexicon(subject))
        return as_json(subject, prepare(subject, room.task, drawn, config.heldout))

    if room.log.get("holdout_opened") is None:
        room.log.write("holdout_opened", {"prompts": room.config.heldout})
    request = {
        "what": "prompts",
        "part": "heldout",
        "n": room.config.heldout,
        "seed": room.config.seed,
    }
    return from_json("heldout", room.journal.measured(request, draw))


# ------------------------------------------------------------------------------------- the circuit


def _faithfulness(
    room: CircuitContext, choice: Choice, prompts: Prompts, readings: Measurements
) -> Result:
    graph, some, many = room.graph, prompts.some(RANDOM_PROMPTS), prompts.some(CURVE_PROMPTS)
    few, told = room.readings(some), room.readings(many)
    rows: list[Result] = []
    for done, share in enumerate(SIZES):
        room.reporter.update("faithfulness", done, len(SIZES), unit="sizes")
        n = max(1, round(share * graph.n_edges))
        if share == 1:
            rows.append(
                {"share": share, "edges": n, "f": 1.0, "low": 1.0, "high": 1.0, "random_f": 1.0}
            )
            continue
        f = _f(room.run(many, top_edges(graph, choice.ranking, n)), told)
        random = room.run(some, random_circuit(graph, n, room.config.seed))
        rows.append(
            {
                "share": share,
                "edges": n,
                **f,
                "random_f": faithfulness(random, few.clean, few.corrupted),
            }
        )
    room.reporter.update("faithfulness", len(SIZES), len(SIZES), unit="sizes")
    areas = faithfulness_curve([row["share"] for row in rows], [row["f"] for row in rows])
    random = random_circuit(graph, choice.n_edges, room.config.seed)
    return {
        "curve": rows,
        "curve_prompts": len(many),
        "cmd": areas.cmd,
        "cpr": areas.cpr,
        "faithfulness": _f(room.run(prompts, choice.mask), readings),
        "random": _f(room.run(prompts, random), readings),
        "completeness": _f(room.run(prompts, graph.all_edges & ~choice.mask), readings),
    }


def _f(circuit: Numbers, readings: Measurements) -> Result:
    found = faithfulness_interval(circuit, readings.clean, readings.corrupted)
    return {"value": found.value, "f": found.value, "low": found.low, "high": found.high}


def _panel(room: CircuitContext, choice: Choice, prompts: Prompts) -> list[Result]:
    """Denoising: only the circuit carries the prompt. Noising: all but the circuit does, and what is lost counts."""
    graph, readings = room.graph, room.readings(prompts)
    levels = {
        "edge": choice.mask,
        "node": node_level_circuit(graph, nodes_of(graph.edges_of(choice.mask))),
    }
    rows: list[Result] = []
    for ablation in get_args(Ablation):
        nothing = _nothing(room, prompts, readings, ablation)
        for level, mask in levels.items():
            room.reporter.update("ablations", len(rows), 4 * len(get_args(Ablation)), unit="runs")
            for direction, kept in (("denoising", mask), ("noising", graph.all_edges & ~mask)):
                found = faithfulness_interval(
                    room.run(prompts, kept, ablation), readings.clean, nothing
                )
                value, low, high = (
                    found
                    if direction == "denoising"
                    else (1 - found.value, 1 - found.high, 1 - found.low)
                )
                identity = {
                    "ablation": ablation,
                    "level": level,
                    "direction": direction,
                    "edges": int(mask.sum()),
                }
                rows.append(identity | {"value": value, "low": low, "high": high})
    room.reporter.update("ablations", len(rows), len(rows), unit="runs")
    return rows


def _nothing(
    room: CircuitContext, prompts: Prompts, readings: Measurements, ablation: Ablation
) -> Numbers:
    if ablation == "resample":
        return readings.corrupted
    empty: Mask = room.graph.all_edges & False
    return room.run(prompts, empty, ablation)


# ------------------------------------------------------------------------------------- the roles


def tested_roles(
    room: CircuitContext, prompts: Prompts, parts: Components, roles: tuple[Role, ...]
) -> list[Result]:
    """Every prediction against held-out prompts; a role is kept when none of its predictions
    failed.

    Beside it the floor: the share of the other components on whose numbers the same predictions
    would hold.
    """
    room.reporter.say("testing what was predicted of the roles")
    nodes = parts.nodes
    seen = observed(room, prompts, nodes, parts.writers, room.node_effects(prompts, nodes))
    looks = room.looks(prompts, nodes)
    by_component = {role.component: role for role in roles}
    rows: list[Result] = []
    for at, (node, quantities, look) in enumerate(zip(nodes, seen, looks, strict=True), 1):
        role = by_component.get(f"C{at}")
        row: Result = {
            "node": node,
            "component": f"C{at}",
            "role": role,
            "look": look,
            "seen": quantities,
        }
        row["predictions"] = (
            [_outcome(room, role, number, quantities) for number in range(len(role.predictions))]
            if role
            else []
        )
        others = [other for index, other in enumerate(seen, 1) if index != at]
        row["placebo"] = (
            float(np.mean([_holds(role, other) for other in others])) if role and others else None
        )
        row["status"] = ("kept" if _holds(role, quantities) else "dropped") if role else None
        rows.append(row)
    return rows


def _outcome(room: CircuitContext, role: Role, number: int, quantities: dict[str, Seen]) -> Result:
    prediction = role.predictions[number]
    seen = quantities.get(prediction.quantity)
    found = {
        "text": prediction.text,
        "quantity": prediction.quantity,
        "expected": [prediction.low, prediction.high],
        "observed": seen and seen.value,
        "low": seen and seen.low,
        "high": seen and seen.high,
        "outcome": adjudicate(prediction, seen and seen.value),
    }
    room.log.write("outcome", found, id=f"{role.component}.{number}")
    return found


def _holds(role: Role, quantities: dict[str, Seen]) -> bool:
    found = [(prediction, quantities.get(prediction.quantity)) for prediction in role.predictions]
    return all(adjudicate(prediction, seen and seen.value) == "for" for prediction, seen in found)


def _interchange(
    room: CircuitContext, prompts: Prompts, nodes: tuple[Node, ...], roles: tuple[Role, ...]
) -> list[Result]:
    """What is lost when a component writes what another of its role writes, beside one drawn from the same layer."""
    by_role: dict[str, list[Node]] = {}
    for role in roles:
        by_role.setdefault(role.role, []).append(nodes[int(role.component[1:]) - 1])
    rng = np.random.default_rng(room.config.seed)
    swaps = [
        (name, *pair) for name, members in by_role.items() for pair in permutations(members, 2)
    ]
    swaps = [swaps[at] for at in sorted(rng.permutation(len(swaps))[:SWAPS])]
    if not swaps:
        return []
    room.reporter.say(f"interchanging {len(swaps)} pairs of one role")
    randoms = [_stranger(room, nodes, two, rng) for _, _, two in swaps]
    pairs = [(one, two) for _, one, two in swaps] + [
        (one, other) for (_, one, _), other in zip(swaps, randoms, strict=True)
    ]
    effects = room.swaps(prompts, pairs)
    rows: list[Result] = []
    for at, (name, one, two) in enumerate(swaps):
        same, random = mean_over_prompts(effects[at]), mean_over_prompts(effects[len(swaps) + at])
        identity = {
            "role": name,
            "component": str(one),
            "writes_as": str(two),
            "stranger": str(randoms[at]),
        }
        rows.append(identity | {"change": same._asdict(), "random_change": random._asdict()})
    return rows


def _stranger(
    room: CircuitContext, nodes: tuple[Node, ...], node: Node, rng: np.random.Generator
) -> Node:
    """Another component of the same kind, of the same layer where it can be, that has no role."""
    same = [other for other in room.graph.sources if other.kind == node.kind and other not in nodes]
    near = [other for other in same if other.layer == node.layer] or same or [node]
    return near[int(rng.integers(len(near)))]
