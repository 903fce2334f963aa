"""A circuit's strongest components, and what is observed of each.

1. Of the components that the edges' scores rank first, take those with the largest exact effects.
2. Measure what each attends to, copies, and adds to the logit difference by itself.
3. Heads that add to it are the writers. Path patching measures how much of another component's
   effect goes through their queries, that is, steers what they look at (Wang et al. 2022 find
   S-inhibition heads so).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from ...evals.statistics.ability import Ability, mean_over_prompts
from ...evals.statistics.faithfulness import PromptInterval
from ...tools.circuits.discovery import node_scores
from ...tools.circuits.graph import Edge, Node, Target
from .choose_circuit import ChosenCircuit
from .context import CircuitContext
from .measurements import Measurement, ObservedNodes
from .prompts import PromptSet
from .roles import WRITES, Component

CANDIDATES = 2
"""Components patched exactly per component that gets a role: estimates rank, exact effects decide."""
SHOWN_TOKENS = 6
"""Tokens that a component raises, as a language model that names roles sees them."""
PATH_PROMPTS = 24
"""Prompts of path patching, which takes two passes of each per component."""


class Components(NamedTuple):
    """Components that get a role, in the order of `nodes`; `writers`: heads whose queries others may steer."""

    nodes: tuple[Node, ...] = ()
    writers: tuple[Node, ...] = ()
    components: tuple[Component, ...] = ()


NO_COMPONENTS = Components()


@dataclass(frozen=True, eq=False)
class DiscoveryFindings:
    """What discovery prompts show; no `choice` if the subject cannot do the task."""

    prompts: PromptSet
    ability: Ability
    choice: ChosenCircuit | None = None
    parts: Components = NO_COMPONENTS


def measure_components(
    context: CircuitContext, prompts: PromptSet, choice: ChosenCircuit, metric: float
) -> Components:
    """The circuit's strongest heads and MLPs by exact effect, and what was observed of each.

    Args:
        metric: the logit difference of the clean prompts.
    """
    graph, n = context.graph, context.config.nodes
    # 1. Candidates by estimate, then by exact effect.
    sources = edge_sources(graph.edges_of(choice.mask))
    parts = [node for node in sources if node.kind in ("head", "mlp")]
    indices = torch.tensor([graph.sources.index(node) for node in parts], dtype=torch.long)
    ranked = node_scores(choice.scores)[indices].abs().argsort(descending=True, stable=True)
    candidates = [parts[i] for i in ranked[: CANDIDATES * n].tolist()]
    context.reporter.say(f"patching {len(candidates)} components exactly, and looking at them")
    effects = context.node_effects(prompts, candidates)
    by_effect = np.argsort(-np.abs(effects.mean(1)), kind="stable")
    order = [i for i in by_effect if _has_sure_sign(effects[i])][:n]
    nodes = tuple(candidates[i] for i in order)
    # 2. and 3. What they do; writers are known before the paths through them are measured.
    observations = context.observations(prompts, nodes)
    writers = tuple(
        node
        for node, observation in zip(nodes, observations, strict=True)
        if node.kind == "head" and np.mean(observation.direct) >= WRITES * metric
    )
    quantities = measure_quantities(context, prompts, nodes, writers, effects[order])
    deepest = max(1, graph.n_layers - 1)
    components = tuple(
        Component(
            name=f"C{number}",
            kind="mlp" if node.kind == "mlp" else "head",
            depth=round(node.layer / deepest, 2),
            quantities=quantities[number - 1],
            writes=tuple(token for token, _ in observations[number - 1].writes[:SHOWN_TOKENS]),
        )
        for number, node in enumerate(nodes, 1)
    )
    return Components(nodes, writers, components)


def _has_sure_sign(effect: Float[np.ndarray, " prompts"]) -> bool:
    """Whether the interval of an effect excludes 0; a component without any effect gets no role."""
    interval = mean_over_prompts(effect)
    return interval.low > 0 or interval.high < 0


def measure_quantities(
    context: CircuitContext,
    prompts: PromptSet,
    nodes: Sequence[Node],
    writers: Sequence[Node],
    effects: Float[np.ndarray, "node prompts"],
) -> list[dict[str, PromptInterval]]:
    """Every quantity of every component on these prompts (`queries`: on the first PATH_PROMPTS)."""
    observations = context.observations(prompts, nodes)
    steered = context.path_effects(prompts.subset(PATH_PROMPTS), nodes, _queries(writers))
    quantities: list[dict[str, PromptInterval]] = []
    for effect, through_queries, observation in zip(effects, steered, observations, strict=True):
        values = {"effect": effect, "queries": through_queries, "direct": observation.direct}
        values |= observation.attention
        if observation.copies:
            values["copies"] = observation.copies
        quantities.append(
            {name: mean_over_prompts(np.asarray(v, dtype=float)) for name, v in values.items()}
        )
    return quantities


def quantities_ahead(
    context: CircuitContext, prompts: PromptSet, nodes: Sequence[Node], writers: Sequence[Node]
) -> list[tuple[PromptSet, Measurement]]:
    """What `measure_quantities` will ask for, the longest first."""
    paths = context.paths(nodes, _queries(writers))
    steered = [(prompts.subset(PATH_PROMPTS), paths)] if paths.senders else []
    return [*steered, (prompts, ObservedNodes(tuple(nodes)))]


def _queries(heads: Sequence[Node]) -> list[Target]:
    return [Target(head, "q") for head in heads]


def edge_sources(edges: list[Edge]) -> list[Node]:
    """The nodes that write a circuit's edges, in the order of computation."""
    return list(dict.fromkeys(edge.source for edge in edges))
