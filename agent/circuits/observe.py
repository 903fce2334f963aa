"""A circuit's strongest components, and what is seen of each.

1. Of the components that the edges' scores rank first, those with the largest exact effects.
2. What each attends to, copies and adds to the logit difference by itself.
3. Heads that add to it are the writers; path patching tells how much of another's effect goes
   through their queries (Wang et al. 2022 find S-inhibition heads so): it steers what they look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from ...evals.statistics.ability import Ability, mean_over_prompts
from ...tools.circuits.discovery import node_scores
from ...tools.circuits.graph import Edge, Node, Target
from .choose_circuit import Choice
from .context import CircuitContext
from .prompts import Prompts
from .roles import WRITES, Component, Seen

CANDIDATES = 2
"""Components patched exactly for each that gets a role: estimates rank, exact effects choose."""
SHOWN_TOKENS = 6
"""Tokens that a component raises, as a language model that names roles sees them."""
PATH_PROMPTS = 24
"""Prompts of path patching, two passes of each for every component."""


class Components(NamedTuple):
    """Components that get a role, in the order of `nodes`; `writers` are those whose queries the others may steer."""

    nodes: tuple[Node, ...] = ()
    writers: tuple[Node, ...] = ()
    components: tuple[Component, ...] = ()


NOTHING = Components()


@dataclass(frozen=True, eq=False)
class Observed:
    """What discovery prompts show."""

    prompts: Prompts
    ability: Ability
    choice: Choice | None = None
    parts: Components = NOTHING


def components(room: CircuitContext, prompts: Prompts, choice: Choice, metric: float) -> Components:
    """The circuit's strongest heads and MLPs by exact effect, and what was seen of each.

    Args:
        metric: the logit difference of the clean prompts.
    """
    graph, n = room.graph, room.config.nodes
    writers = [
        node for node in nodes_of(graph.edges_of(choice.mask)) if node.kind in ("head", "mlp")
    ]
    index = torch.tensor([graph.sources.index(node) for node in writers], dtype=torch.long)
    ranked = node_scores(choice.scores)[index].abs().argsort(descending=True, stable=True)
    candidates = [writers[at] for at in ranked[: CANDIDATES * n].tolist()]
    room.reporter.say(f"patching {len(candidates)} components exactly, and looking at them")
    effects = room.node_effects(prompts, candidates)
    order = [
        at for at in np.argsort(-np.abs(effects.mean(1)), kind="stable") if _matters(effects[at])
    ][:n]
    nodes = tuple(candidates[at] for at in order)
    looks = room.looks(prompts, nodes)
    writers = tuple(
        node
        for node, look in zip(nodes, looks, strict=True)
        if node.kind == "head" and np.mean(look.direct) >= WRITES * metric
    )
    seen = observed(room, prompts, nodes, writers, effects[order])
    deepest = max(1, graph.n_layers - 1)
    promoted = [tuple(token for token, _ in look.writes[:SHOWN_TOKENS]) for look in looks]
    found = tuple(
        Component(
            f"C{at}",
            "mlp" if node.kind == "mlp" else "head",
            round(node.layer / deepest, 2),
            quantities,
            tokens,
        )
        for at, (node, quantities, tokens) in enumerate(zip(nodes, seen, promoted, strict=True), 1)
    )
    return Components(nodes, writers, found)


def _matters(effect: Float[np.ndarray, " prompts"]) -> bool:
    """Whether the sign of an effect is sure: what may be nothing gets no role."""
    seen = mean_over_prompts(effect)
    return seen.low > 0 or seen.high < 0


def observed(
    room: CircuitContext,
    prompts: Prompts,
    nodes: Sequence[Node],
    writers: Sequence[Node],
    effects: Float[np.ndarray, "node prompts"],
) -> list[dict[str, Seen]]:
    """Every quantity of every component on these prompts; `queries` on some of them."""
    looks = room.looks(prompts, nodes)
    steered = room.through(
        prompts.some(PATH_PROMPTS), nodes, [Target(writer, "q") for writer in writers]
    )
    found: list[dict[str, Seen]] = []
    for effect, through, look in zip(effects, steered, looks, strict=True):
        values = {"effect": effect, "queries": through, "direct": look.direct, **look.attention}
        values |= {"copies": look.copies} if look.copies else {}
        found.append(
            {
                name: Seen(*mean_over_prompts(np.asarray(each, dtype=float)))
                for name, each in values.items()
            }
        )
    return found


def nodes_of(edges: list[Edge]) -> list[Node]:
    """The nodes that write a circuit's edges, in the order of computation."""
    return list(dict.fromkeys(edge.source for edge in edges))
