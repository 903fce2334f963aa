"""Put the findings of a circuit investigation together as circuit.json.

The verdict rests on held-out f at the chosen size: kept if the interval of |1 - f| ends at most at
.15 and a random circuit of equal size is worse; rejected if it begins above .15 or the random
circuit does as well; else inconclusive.
"""

from __future__ import annotations

from collections import defaultdict
from typing import cast

from ...evals.statistics.faithfulness import PromptInterval
from ...tools.circuits.graph import Node
from .choose_circuit import ChosenCircuit
from .context import CircuitContext
from .imported import imported_row
from .observe import DiscoveryFindings, edge_sources
from .result import (
    FORMAT,
    AbilityRow,
    AttentionRow,
    BalanceRow,
    CircuitVerdict,
    EdgeRow,
    FoundCircuit,
    NoCircuit,
    NodeRow,
    PromptCountsRow,
    RoleCountsRow,
    WrittenTokenRow,
)
from .robustness import RobustnessFindings
from .verify import CheckedComponent, HeldoutFindings, interval_row

SHOWN_EDGES = 3000
"""Edges listed, the strongest first; all of the circuit's are."""
SHOWN_ATTENTIONS = 4
TOLERATED = 0.15
"""Distance of f from 1 at which a circuit still counts as faithful."""


def build_no_circuit(context: CircuitContext, discovery: DiscoveryFindings) -> NoCircuit:
    """The result for a subject that cannot do the task: lists are empty, numbers null."""
    reason = f"{context.subject_facts['title']} cannot do the task: {discovery.ability.why}"
    result = {
        **dict.fromkeys(NoCircuit.__annotations__),
        **{name: [] for name in ("nodes", "edges", "curve", "panel", "interchange")},
        "circuit_edges": {},
        **_head(context, discovery),
        "prompts": _prompt_counts(discovery, None),
        "verdict": "cannot do",
        "reason": reason,
    }
    return cast(NoCircuit, result)


def build_result(
    context: CircuitContext,
    discovery: DiscoveryFindings,
    choice: ChosenCircuit,
    robustness: RobustnessFindings,
    heldout: HeldoutFindings,
) -> FoundCircuit:
    """The result for a subject that can do the task: its circuit, tested on held-out prompts."""
    f = heldout.faithfulness
    verdict, reason = verdict_of(f.chosen, f.random)
    # A dict with unpacked parts is not checked against `FoundCircuit`: hence the cast.
    result = {
        **_head(context, discovery),
        "prompts": _prompt_counts(discovery, heldout.n_prompts),
        "verdict": verdict,
        "reason": reason,
        "model_score": float(heldout.differences.clean.mean()),
        "corrupted_score": float(heldout.differences.corrupted.mean()),
        "nodes": _nodes(context, discovery, choice, heldout.components),
        "edges": _edges(context, choice),
        "circuit_edges": _circuit_edges(context, choice),
        "chosen_share": choice.n_edges / context.graph.n_edges,
        "chosen_edges": choice.n_edges,
        "faithfulness": interval_row(f.chosen) | {"prompts": heldout.n_prompts},
        "random": interval_row(f.random),
        "completeness": interval_row(f.completeness),
        "curve": f.curve,
        "curve_prompts": f.curve_prompts,
        "cmd": f.cmd,
        "cpr": f.cpr,
        "panel": heldout.panel,
        "interchange": heldout.interchange,
        "balance": _balance(choice),
        "calibration": choice.calibration,
        "roles": _role_counts(heldout.components),
        **vars(robustness),
    }
    if context.config.imported:
        result["imported"] = imported_row(context.folder, context.config, context.imported)
    return cast(FoundCircuit, result)


def verdict_of(f: PromptInterval, random: PromptInterval) -> tuple[CircuitVerdict, str]:
    """The verdict, and why.

    Args:
        f: faithfulness of the circuit on held-out prompts.
        random: that of a random circuit of equal size.
    """
    # Distances from 1 of the nearest and the farthest point of the interval.
    nearest = max(0.0, f.low - 1, 1 - f.high)
    farthest = max(abs(1 - f.low), abs(1 - f.high))
    measured = f"held-out f is {f.value:.2f} ({f.low:.2f} to {f.high:.2f})"
    of_random = f"a random circuit of equal size has {random.value:.2f}"
    if random.high >= f.low:
        return "rejected", f"{measured}, and {of_random}"
    if nearest > TOLERATED:
        return "rejected", f"{measured}, farther from 1 than {TOLERATED}"
    if farthest > TOLERATED:
        return (
            "inconclusive",
            f"{measured}; its interval reaches farther from 1 than {TOLERATED}",
        )
    return "kept", f"{measured}, within {TOLERATED} of 1; {of_random}"


def _head(context: CircuitContext, discovery: DiscoveryFindings) -> dict[str, object]:
    """The entries that a result has with or without a circuit."""
    subject, ability = context.subject_facts, discovery.ability
    return {
        "format": FORMAT,
        "task": context.task_facts["name"],
        "summary": context.task_facts["summary"],
        "subject": subject["name"],
        "subject_title": subject["title"],
        "subject_revision": subject["revision"],
        "graph": {"n_edges": context.graph.n_edges} | subject["graph"],
        "explainer": context.config.explainer.name,
        "ablation": "resample",
        "metric": "logit difference: mean of the answers' logits - mean of the foils' logits, at the last position",
        "ability": AbilityRow(
            accuracy=ability.accuracy._asdict(),
            top=ability.top,
            clean=interval_row(ability.clean),
            corrupted=interval_row(ability.corrupted),
            can=ability.can,
            why=ability.why,
        ),
    }


def _prompt_counts(discovery: DiscoveryFindings, n_heldout: int | None) -> PromptCountsRow:
    prompts = discovery.prompts
    return {
        "discovery": len(prompts),
        "heldout": n_heldout,
        "left_out": prompts.left_out,
        "words_left_out": list(prompts.words),
    }


def _balance(choice: ChosenCircuit) -> BalanceRow:
    return {
        "weight": choice.balance.weight,
        "opposing_edges": int((choice.mask & (choice.scores > 0)).sum()),
        "tried": list(choice.balance.tried),
    }


def _role_counts(components: list[CheckedComponent]) -> RoleCountsRow:
    placebos = [each.placebo for each in components if each.placebo is not None]
    return {
        "kept": sum(each.status == "kept" for each in components),
        "dropped": sum(each.status == "dropped" for each in components),
        "placebo": sum(placebos) / len(placebos) if placebos else None,
    }


def _nodes(
    context: CircuitContext,
    discovery: DiscoveryFindings,
    choice: ChosenCircuit,
    components: list[CheckedComponent],
) -> list[NodeRow]:
    sources = edge_sources(context.graph.edges_of(choice.mask))
    by_node = {component.node: component for component in components}
    first_prompt = list(discovery.prompts.tokens[0])
    return [_node(node, by_node.get(node), first_prompt) for node in [*sources, Node("logits")]]


def _node(node: Node, component: CheckedComponent | None, first_prompt: list[str]) -> NodeRow:
    """A node's row; numbers are filled in only for a component that was tested."""
    row: NodeRow = {
        "id": str(node),
        "layer": node.layer,
        "kind": node.kind,
        "in_circuit": True,
        "component": None,
        "role": None,
        "description": None,
        "role_status": None,
        "placebo": None,
        "predictions": [],
        "effect": None,
        "direct": None,
        "queries": None,
        "copies": None,
        "looks_at": [],
        "writes": [],
        "attention": None,
    }
    if component is None:
        return row
    role, quantities = component.role, component.quantities
    observation = component.observation
    row["component"] = component.name
    if role is not None:
        row["role"], row["description"] = role.role, role.description
        row["role_status"], row["placebo"] = component.status, component.placebo
        row["predictions"] = component.predictions
    row["effect"] = interval_row(quantities["effect"])
    row["direct"] = interval_row(quantities["direct"])
    row["queries"] = interval_row(quantities["queries"])
    row["copies"] = quantities["copies"].value if "copies" in quantities else None
    row["looks_at"] = _strongest_attentions(quantities)
    row["writes"] = [WrittenTokenRow(token=t, weight=w) for t, w in observation.writes]
    if observation.pattern:
        row["attention"] = {"prompt_tokens": first_prompt, "pattern": observation.pattern}
    return row


def _strongest_attentions(quantities: dict[str, PromptInterval]) -> list[AttentionRow]:
    kinds = ("previous", "duplicate", "induction")
    rows = [
        AttentionRow(what=name, attention=interval.value)
        for name, interval in quantities.items()
        if ">" in name or name in kinds
    ]
    return sorted(rows, key=lambda row: -row["attention"])[:SHOWN_ATTENTIONS]


def _circuit_edges(context: CircuitContext, choice: ChosenCircuit) -> dict[str, list[str]]:
    """All edges of the circuit: the sources of each target, in the graph's order."""
    by_target: dict[str, list[str]] = defaultdict(list)
    for source, target, read in context.graph.edges_of(choice.mask):
        by_target[f"{target}<{read}>"].append(str(source))
    return dict(by_target)


def _edges(context: CircuitContext, choice: ChosenCircuit) -> list[EdgeRow]:
    """The circuit's edges, and others among the `SHOWN_EDGES` strongest; the strongest first."""
    graph = context.graph
    edges = graph.edges_of(graph.all_edges)
    scores = choice.scores[graph.all_edges]
    inside = choice.mask[graph.all_edges].tolist()
    order = scores.abs().argsort(descending=True, stable=True).tolist()
    rows: list[EdgeRow] = []
    for rank, index in enumerate(order):
        if not inside[index] and rank >= SHOWN_EDGES:
            continue
        edge = edges[index]
        rows.append(
            EdgeRow(
                source=str(edge.source),
                target=f"{edge.target}<{edge.input}>",
                weight=float(scores[index]),
                exact=choice.exact.get(str(edge)),
                in_circuit=inside[index],
            )
        )
    return rows
