"""circuit.json: what a circuit investigation found, as the review page and a user's own programs
read it.

The verdict rests on held-out f at the chosen size: kept when the interval of |1 - f| ends at most
at .15 and a random circuit of equal size is worse, rejected when it begins above or the random
circuit does as well, else inconclusive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...tools.circuits.graph import Edge, Node
from .observe import nodes_of

if TYPE_CHECKING:
    from .choose_circuit import Choice
    from .context import CircuitContext
    from .observe import Observed
    from .roles import Role

FORMAT = 1
SHOWN_EDGES = 3000
"""Edges listed, the strongest first; all of the circuit's are."""
TOLERATED = 0.15
TAKEN = ("curve_prompts", "cmd", "cpr", "panel", "minimality", "stability", "rival", "interchange")
"""What goes into the file as it was found."""
Result = dict[str, Any]


def result(room: CircuitContext, seen: Observed, roles: tuple[Role, ...], found: Result) -> Result:
    """Plain JSON; keys are always there, null when unknown."""
    head = _head(room, seen)
    if seen.choice is None:
        reason = f"{room.facts['title']} cannot do the task: {seen.ability.why}"
        return head | {"verdict": "cannot do", "reason": reason}
    choice = seen.choice
    verdict, reason = verdict_of(found["faithfulness"], found["random"])
    metric = found["metric"]
    return head | {
        "verdict": verdict,
        "reason": reason,
        "model_score": float(metric["model"].mean()),
        "corrupted_score": float(metric["corrupted"].mean()),
        "nodes": _nodes(room, seen, found),
        "edges": _edges(room, seen),
        "chosen_share": choice.n_edges / room.graph.n_edges,
        "chosen_edges": choice.n_edges,
        "faithfulness": _interval(found["faithfulness"]) | {"prompts": found["heldout"]},
        "random": _interval(found["random"]),
        "completeness": _interval(found["completeness"]),
        "prompts": head["prompts"] | {"heldout": found["heldout"]},
        "curve": [
            {key: row[key] for key in ("share", "edges", "f", "low", "high", "random_f")}
            for row in found["curve"]
        ],
        "balance": _balance(choice),
        "calibration": choice.calibration,
        "roles": {
            "kept": sum(row["status"] == "kept" for row in found["nodes"]),
            "dropped": sum(row["status"] == "dropped" for row in found["nodes"]),
            "placebo": _mean(
                [row["placebo"] for row in found["nodes"] if row["placebo"] is not None]
            ),
        },
        **{name: found[name] for name in TAKEN},
    }


def verdict_of(f: Result, random: Result) -> tuple[str, str]:
    """Kept, rejected or inconclusive, and why."""
    nearest = max(0.0, f["low"] - 1, 1 - f["high"])
    farthest = max(abs(1 - f["low"]), abs(1 - f["high"]))
    said = f"held-out f is {f['value']:.2f} ({f['low']:.2f} to {f['high']:.2f})"
    if random["high"] >= f["low"]:
        return "rejected", f"{said}, and a random circuit of equal size has {random['value']:.2f}"
    if nearest > TOLERATED:
        return "rejected", f"{said}, farther from 1 than {TOLERATED}"
    if farthest > TOLERATED:
        return "inconclusive", f"{said}; its interval reaches farther from 1 than {TOLERATED}"
    return (
        "kept",
        f"{said}, within {TOLERATED} of 1; a random circuit of equal size has {random['value']:.2f}",
    )


def _balance(choice: Choice) -> Result:
    opposing = int((choice.mask & (choice.scores > 0)).sum())
    return {
        "weight": choice.balance.weight,
        "opposing_edges": opposing,
        "tried": list(choice.balance.tried),
    }


def _head(room: CircuitContext, seen: Observed) -> Result:
    ability = seen.ability
    names = (
        "model_score corrupted_score chosen_share chosen_edges faithfulness random completeness minimality stability "
        "rival curve_prompts cmd cpr balance calibration roles"
    )
    lists = ("nodes", "edges", "curve", "panel", "interchange")
    return {
        "format": FORMAT,
        "task": room.about["name"],
        "summary": room.about["summary"],
        "subject": room.facts["name"],
        "subject_title": room.facts["title"],
        "subject_revision": room.facts["revision"],
        "graph": {"n_edges": room.graph.n_edges} | room.facts["graph"],
        "explainer": room.config.explainer.name,
        "ablation": "resample",
        "metric": "logit difference: mean of the answers' logits - mean of the foils' logits, at the last position",
        "ability": {
            "accuracy": ability.accuracy._asdict(),
            "top": ability.top,
            "clean": ability.clean._asdict(),
            "corrupted": ability.corrupted._asdict(),
            "can": ability.can,
            "why": ability.why,
        },
        "prompts": {
            "discovery": len(seen.prompts),
            "heldout": None,
            "left_out": seen.prompts.left_out,
            "words_left_out": list(seen.prompts.words),
        },
        **dict.fromkeys(names.split()),
        **{name: [] for name in lists},
    }


def _nodes(room: CircuitContext, seen: Observed, found: Result) -> list[Result]:
    assert seen.choice is not None  # a subject that cannot do the task has no nodes
    inside = nodes_of(room.graph.edges_of(seen.choice.mask))
    told = {row["node"]: row for row in found["nodes"]}
    rows = [_node(node, told.get(node), seen) for node in dict.fromkeys([*inside, *told])]
    return [*rows, _node(Node("logits"), None, seen)]


def _node(node: Node, row: Result | None, seen: Observed) -> Result:
    look, role = (row["look"], row["role"]) if row else (None, None)
    heard = row["seen"] if row else {}
    pattern = look.pattern if look else None
    return {
        "id": str(node),
        "layer": node.layer,
        "kind": node.kind,
        "in_circuit": True,
        "component": row and row["component"],
        "role": role and role.role,
        "description": role and role.description,
        "role_status": row and row["status"],
        "placebo": row and row["placebo"],
        "predictions": row["predictions"] if row else [],
        "effect": vars(heard["effect"]) if "effect" in heard else None,
        "direct": vars(heard["direct"]) if "direct" in heard else None,
        "queries": vars(heard["queries"]) if "queries" in heard else None,
        "copies": heard["copies"].value if "copies" in heard else None,
        "looks_at": _looks_at(heard),
        "writes": [{"token": token, "weight": weight} for token, weight in look.writes]
        if look
        else [],
        "attention": {"prompt_tokens": list(seen.prompts.tokens[0]), "pattern": pattern}
        if pattern
        else None,
    }


def _looks_at(heard: Result) -> list[Result]:
    """Where a head looks, most first."""
    kinds = ("previous", "duplicate", "induction")
    found = [(name, seen.value) for name, seen in heard.items() if ">" in name or name in kinds]
    return [
        {"what": name, "attention": value}
        for name, value in sorted(found, key=lambda pair: -pair[1])[:4]
    ]


def _edges(room: CircuitContext, seen: Observed) -> list[Result]:
    assert seen.choice is not None  # as above
    graph, choice = room.graph, seen.choice
    values = choice.scores[graph.all_edges]
    names = graph.edges_of(graph.all_edges)
    inside = choice.mask[graph.all_edges].tolist()
    order = values.abs().argsort(descending=True, stable=True).tolist()
    listed = [at for rank, at in enumerate(order) if inside[at] or rank < SHOWN_EDGES]
    return [_edge(names[at], float(values[at]), choice.exact, inside[at]) for at in listed]


def _edge(edge: Edge, weight: float, exact: dict[str, float], inside: bool) -> Result:
    source, target = str(edge).split("->")
    return {
        "source": source,
        "target": target,
        "weight": weight,
        "exact": exact.get(str(edge)),
        "in_circuit": inside,
    }


def _interval(row: Result) -> Result:
    return {name: row[name] for name in ("value", "low", "high")}


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
