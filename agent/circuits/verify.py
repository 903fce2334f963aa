"""Test the circuit and every role on held-out prompts, once.

This is the only module that draws these prompts. By then the circuit is chosen and every prediction is in
the log.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal, NamedTuple, get_args

import numpy as np

from ...evals.statistics.ability import mean_over_prompts
from ...evals.statistics.faithfulness import (
    SIZES,
    PromptInterval,
    faithfulness,
    faithfulness_curve,
    faithfulness_interval,
)
from ...tools.circuits.ablation import Ablation
from ...tools.circuits.graph import Node
from ...tools.circuits.head_observations import HeadObservation
from ...tools.circuits.tasks.heldout import heldout
from ...tools.circuits.tasks.logit_differences import LogitDifferences
from ...tools.circuits.tasks.task import Example
from .choose_circuit import ChosenCircuit
from .context import CircuitContext, MetricValues
from .measurements import InterchangedNodes, Measurement, PatchedNodes
from .observe import Components, measure_quantities, quantities_ahead
from .prompts import PromptSet
from .result import CurveRow, InterchangeRow, IntervalRow, PanelRow, PredictionRow
from .roles import Role, adjudicate
from .tested_circuits import TestedCircuits, TestPrompts, circuit_runs

SWAPS = 6
"""Pairs of components of one role that are interchanged."""


@dataclass(frozen=True)
class CheckedComponent:
    """A component on held-out prompts, with its role's predictions if it has a role.

    Attributes:
        placebo: share of the other components of which the same predictions hold.
        status: kept if none of the predictions failed.
    """

    node: Node
    name: str
    role: Role | None
    observation: HeadObservation
    quantities: dict[str, PromptInterval]
    predictions: list[PredictionRow]
    placebo: float | None
    status: Literal["kept", "dropped"] | None


@dataclass(frozen=True)
class CircuitFaithfulness:
    """f over sizes, its summaries CMD and CPR, and f of the circuit, a random one, and all but the circuit."""

    curve: list[CurveRow]
    curve_prompts: int
    cmd: float
    cpr: float
    chosen: PromptInterval
    random: PromptInterval
    completeness: PromptInterval


@dataclass(frozen=True)
class HeldoutFindings:
    """Everything that is measured on held-out prompts."""

    n_prompts: int
    differences: LogitDifferences
    faithfulness: CircuitFaithfulness
    panel: list[PanelRow]
    components: list[CheckedComponent]
    interchange: list[InterchangeRow]


def verify(
    context: CircuitContext, choice: ChosenCircuit, parts: Components, roles: tuple[Role, ...]
) -> HeldoutFindings:
    """Open the held-out prompts and measure the circuit and the roles on them."""
    config = context.config
    if context.log.get("holdout_opened") is None:
        context.log.write("holdout_opened", {"prompts": config.heldout})

    def draw(words: Sequence[str]) -> Iterator[Example]:
        return heldout(context.task, config.seed, words)

    prompts = TestPrompts.of(context.prompts("heldout", config.heldout, draw))
    circuits = TestedCircuits.of(context.graph, choice, config.seed)
    swaps = _draw_swaps(context, parts.nodes, roles)
    role_runs = _role_runs(context, prompts.all, parts, swaps)  # first, since they take longest
    context.ahead(*role_runs, *circuit_runs(circuits, prompts))
    differences = context.logit_differences(prompts.all)
    return HeldoutFindings(
        len(prompts.all),
        differences,
        _measure_faithfulness(context, circuits, prompts, differences),
        _measure_panel(context, circuits, prompts.panel),
        check_roles(context, prompts.all, parts, roles),
        _interchange_within_roles(context, prompts.all, swaps),
    )


# The circuit


def _measure_faithfulness(
    context: CircuitContext,
    circuits: TestedCircuits,
    prompts: TestPrompts,
    differences: LogitDifferences,
) -> CircuitFaithfulness:
    """f at ten sizes, and f of the chosen circuit, of a random one, and of all other edges."""
    random_differences = context.logit_differences(prompts.random)
    curve_differences = context.logit_differences(prompts.curve)
    # 1. the curve: circuits of other sizes from the same ranking, and random ones
    rows: list[CurveRow] = []
    for done, (share, n, ranked, random_mask) in enumerate(circuits.sizes):
        context.reporter.update("faithfulness", done, len(SIZES), unit="sizes")
        f = _interval_of_f(context.circuit_metric(prompts.curve, ranked), curve_differences)
        random = context.circuit_metric(prompts.random, random_mask)
        random_f = faithfulness(random, random_differences.clean, random_differences.corrupted)
        rows.append(
            CurveRow(share=share, edges=n, f=f.value, low=f.low, high=f.high, random_f=random_f)
        )
    # the whole model, by definition
    rows.append(
        CurveRow(share=1.0, edges=context.graph.n_edges, f=1.0, low=1.0, high=1.0, random_f=1.0)
    )
    context.reporter.update("faithfulness", len(SIZES), len(SIZES), unit="sizes")
    areas = faithfulness_curve([row["share"] for row in rows], [row["f"] for row in rows])
    # 2. the chosen circuit, on all prompts
    masks = (circuits.chosen, circuits.random, circuits.without(circuits.chosen))
    chosen, random, completeness = (
        _interval_of_f(context.circuit_metric(prompts.all, mask), differences) for mask in masks
    )
    return CircuitFaithfulness(
        rows, len(prompts.curve), areas.cmd, areas.cpr, chosen, random, completeness
    )


def _interval_of_f(circuit: MetricValues, differences: LogitDifferences) -> PromptInterval:
    return faithfulness_interval(circuit, differences.clean, differences.corrupted)


def _measure_panel(
    context: CircuitContext, circuits: TestedCircuits, prompts: PromptSet
) -> list[PanelRow]:
    """Denoising: only the circuit carries the prompt. Noising: all but the circuit does, and what is lost counts."""
    model_metric = context.logit_differences(prompts).clean
    n_runs = 4 * len(get_args(Ablation))
    rows: list[PanelRow] = []
    for ablation in get_args(Ablation):
        nothing = _metric_of_nothing(context, prompts, ablation)
        for level, mask in circuits.by_level.items():
            context.reporter.update("ablations", len(rows), n_runs, unit="runs")
            denoised = context.circuit_metric(prompts, mask, ablation)
            kept = faithfulness_interval(denoised, model_metric, nothing)
            noised = context.circuit_metric(prompts, circuits.without(mask), ablation)
            left = faithfulness_interval(noised, model_metric, nothing)
            lost = PromptInterval(1 - left.value, 1 - left.high, 1 - left.low)
            shares: dict[Literal["denoising", "noising"], PromptInterval] = {
                "denoising": kept,
                "noising": lost,
            }
            rows += [
                PanelRow(
                    ablation=ablation,
                    level=level,
                    direction=direction,
                    edges=int(mask.sum()),
                    value=share.value,
                    low=share.low,
                    high=share.high,
                )
                for direction, share in shares.items()
            ]
    context.reporter.update("ablations", n_runs, n_runs, unit="runs")
    return rows


def _metric_of_nothing(
    context: CircuitContext, prompts: PromptSet, ablation: Ablation
) -> MetricValues:
    if ablation == "resample":
        return context.logit_differences(prompts).corrupted
    return context.circuit_metric(prompts, context.graph.all_edges & False, ablation)


# The roles


def _role_runs(
    context: CircuitContext, prompts: PromptSet, parts: Components, swaps: Sequence[Swap]
) -> list[tuple[PromptSet, Measurement]]:
    """What testing roles and interchanging components will ask for."""
    runs = [
        *quantities_ahead(context, prompts, parts.nodes, parts.writers),
        (prompts, PatchedNodes(parts.nodes)),
    ]
    if swaps:
        runs.append((prompts, InterchangedNodes(tuple(_interchanges(swaps)))))
    return runs


def check_roles(
    context: CircuitContext, prompts: PromptSet, parts: Components, roles: tuple[Role, ...]
) -> list[CheckedComponent]:
    """Test every prediction on held-out prompts. A role is kept if none of its predictions failed.

    Its floor is the placebo: the share of the other components for which the same predictions would
    hold.
    """
    context.reporter.say("testing what was predicted of the roles")
    nodes = parts.nodes
    effects = context.node_effects(prompts, nodes)
    quantities = measure_quantities(context, prompts, nodes, parts.writers, effects)
    observations = context.observations(prompts, nodes)
    role_by_name = {role.component: role for role in roles}
    tested: list[CheckedComponent] = []
    for i, node in enumerate(nodes):
        name, own = f"C{i + 1}", quantities[i]
        role = role_by_name.get(name)
        predictions, placebo, status = list[PredictionRow](), None, None
        if role is not None:
            predictions = _check_predictions(context, role, own)
            others = [_holds(role, other) for j, other in enumerate(quantities) if j != i]
            placebo = float(np.mean(others)) if others else None
            status = "kept" if _holds(role, own) else "dropped"
        tested.append(
            CheckedComponent(node, name, role, observations[i], own, predictions, placebo, status)
        )
    return tested


def _check_predictions(
    context: CircuitContext, role: Role, quantities: dict[str, PromptInterval]
) -> list[PredictionRow]:
    """Compare a role's predictions with held-out quantities, and log each outcome."""
    rows: list[PredictionRow] = []
    for number, prediction in enumerate(role.predictions):
        observed = quantities.get(prediction.quantity)
        row = PredictionRow(
            text=prediction.text,
            quantity=prediction.quantity,
            expected=[prediction.low, prediction.high],
            observed=observed and observed.value,
            low=observed and observed.low,
            high=observed and observed.high,
            outcome=adjudicate(prediction, observed and observed.value),
        )
        context.log.write("outcome", dict(row), id=f"{role.component}.{number}")
        rows.append(row)
    return rows


def _holds(role: Role, quantities: dict[str, PromptInterval]) -> bool:
    """Whether every prediction of a role holds of these numbers."""
    observed = [quantities.get(prediction.quantity) for prediction in role.predictions]
    return all(
        adjudicate(prediction, interval and interval.value) == "for"
        for prediction, interval in zip(role.predictions, observed, strict=True)
    )


class Swap(NamedTuple):
    """A component that writes what another of its role writes, and as a control what a stranger does.

    The stranger is a component of the other's layer that does not have the role.
    """

    role: str
    node: Node
    other: Node
    stranger: Node


def _draw_swaps(
    context: CircuitContext, nodes: tuple[Node, ...], roles: tuple[Role, ...]
) -> list[Swap]:
    members: dict[str, list[Node]] = defaultdict(list)
    for role in roles:
        members[role.role].append(nodes[int(role.component[1:]) - 1])
    rng = np.random.default_rng(context.config.seed)
    swaps = [(name, *pair) for name, group in members.items() for pair in permutations(group, 2)]
    swaps = [swaps[i] for i in sorted(rng.permutation(len(swaps))[:SWAPS])]
    return [
        Swap(role, node, other, _draw_stranger(context, nodes, other, rng))
        for role, node, other in swaps
    ]


def _interchanges(swaps: Sequence[Swap]) -> list[tuple[Node, Node]]:
    """Within the role, then with strangers."""
    within = [(swap.node, swap.other) for swap in swaps]
    return within + [(swap.node, swap.stranger) for swap in swaps]


def _interchange_within_roles(
    context: CircuitContext, prompts: PromptSet, swaps: Sequence[Swap]
) -> list[InterchangeRow]:
    """What is lost when a component writes what another of its role writes, or what a stranger does."""
    if not swaps:
        return []
    context.reporter.say(f"interchanging {len(swaps)} pairs of one role")
    effects = context.interchange_effects(prompts, _interchanges(swaps))
    return [
        InterchangeRow(
            role=swap.role,
            component=str(swap.node),
            writes_as=str(swap.other),
            stranger=str(swap.stranger),
            change=interval_row(mean_over_prompts(effects[i])),
            random_change=interval_row(mean_over_prompts(effects[len(swaps) + i])),
        )
        for i, swap in enumerate(swaps)
    ]


def _draw_stranger(
    context: CircuitContext, nodes: tuple[Node, ...], node: Node, rng: np.random.Generator
) -> Node:
    """Another component of the same kind without a role, of the same layer where there is one."""
    sources = context.graph.sources
    same_kind = [other for other in sources if other.kind == node.kind and other not in nodes]
    same_layer = [other for other in same_kind if other.layer == node.layer]
    candidates = same_layer or same_kind or [node]
    return candidates[int(rng.integers(len(candidates)))]


def interval_row(interval: PromptInterval) -> IntervalRow:
    """An interval as circuit.json has it."""
    return IntervalRow(value=interval.value, low=interval.low, high=interval.high)
