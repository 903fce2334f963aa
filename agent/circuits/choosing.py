"""From ranked edges to a circuit and its strongest components, on discovery prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...evals.ability import mean_interval
from ...evals.faithfulness import calibration, faithfulness
from ...tools.circuits.discovery import node_scores, smallest_with, top_edges
from ...tools.circuits.graph import Edge, Node
from ...tools.circuits.refinement import reranked
from .prompts import Prompts
from .roles import Component, Seen
from .room import Mask, Room

CHECKED_PROMPTS = 6
"""Discovery prompts on which single edges are measured exactly."""
TOP_EDGES, RANDOM_EDGES = 20, 10
CANDIDATES = 2
"""Components patched exactly for each that gets a role: estimates rank, exact effects choose."""
REFINED_PROMPTS = 32
"""Discovery prompts on which edges are reconsidered: a round costs three passes with gradients of each."""
SEARCHED_PROMPTS = 16
"""Discovery prompts on which a threshold search measures f of each size that it tries."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A circuit.

    Attributes:
        prompt_scores: every edge's attribution on every discovery prompt; `scores` is the mean.
        ranking: the scores that the circuit was grown from, and circuits of other sizes are.
        exact: edges measured exactly, with their effects; `calibration` holds estimates against these.
    """

    mask: Mask
    prompt_scores: Float[Tensor, "pairs source target"]
    scores: Float[Tensor, "source target"]
    ranking: Float[Tensor, "source target"]
    exact: dict[str, float]
    calibration: dict[str, Any]

    @property
    def n_edges(self) -> int:
        """Size of the circuit."""
        return int(self.mask.sum())


def choose(room: Room, prompts: Prompts, prompt_scores: Float[Tensor, "pairs source target"]) -> Choice:
    """The circuit of the size asked for, or the smallest with the f asked for."""
    scores, graph = prompt_scores.mean(0), room.graph
    ranking = scores
    if room.config.faithfulness:
        mask = smallest_with(graph, scores, _f_of(room, prompts.some(SEARCHED_PROMPTS)), room.config.faithfulness)
    else:
        ranking = refined(room, prompts, scores, max(1, round(room.config.share * graph.n_edges)))
        mask = top_edges(graph, ranking, max(1, round(room.config.share * graph.n_edges)))
    exact, found = calibrated(room, prompts, scores)
    return Choice(mask, prompt_scores, scores, ranking, exact, found)


def refined(
    room: Room, prompts: Prompts, scores: Float[Tensor, "source target"], n: int
) -> Float[Tensor, "source target"]:
    """Scores of the circuit of n edges that comes nearest to the model, pair by pair, in some rounds of swapping."""
    if not room.config.rounds:
        return scores
    some = prompts.some(REFINED_PROMPTS)
    whole = room.readings(some).clean

    def missing(ranking: Float[Tensor, "source target"]) -> Float[Tensor, " pairs"]:
        return torch.from_numpy(whole - room.run(some, top_edges(room.graph, ranking, n)))

    ranking, left = scores, missing(scores)
    found = [(float(left.square().mean()), 0, ranking)]
    for at in range(room.config.rounds):
        mask = top_edges(room.graph, ranking, n)
        ranking = reranked(room.graph, mask, left, room.changes(some, mask), scores)
        left = missing(ranking)
        found.append((float(left.square().mean()), at + 1, ranking))
    return min(found)[2]


def _f_of(room: Room, prompts: Prompts) -> Any:
    readings = room.readings(prompts)

    def f(mask: Mask) -> float:
        room.reporter.say(f"trying {int(mask.sum()):,} edges")
        return faithfulness(room.run(prompts, mask), readings.clean, readings.corrupted)

    return f


def calibrated(
    room: Room, prompts: Prompts, scores: Float[Tensor, "source target"]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Estimates held against exact patching, the strongest edges and a random sample apart."""
    graph = room.graph
    possible = graph.edges_of(graph.possible)
    flat = scores[graph.possible].double().numpy()
    order = np.argsort(-np.abs(flat), kind="stable")
    top, rest = order[:TOP_EDGES], order[TOP_EDGES:]
    drawn = np.random.default_rng(room.config.seed).choice(rest, min(RANDOM_EDGES, len(rest)), replace=False)
    room.reporter.say(f"measuring {len(top) + len(drawn)} edges exactly")
    some = prompts.some(CHECKED_PROMPTS)
    edges = [possible[at] for at in (*top, *drawn)]
    exact = room.edge_effects(some, edges).mean(1)
    estimated = flat[np.concatenate([top, drawn])]
    parts = {"top": slice(0, len(top)), "random": slice(len(top), None)}
    found = {
        name: _finite(calibration(estimated[at], exact[at])._asdict()) for name, at in parts.items() if len(exact[at])
    }
    return {str(edge): float(value) for edge, value in zip(edges, exact, strict=True)}, found


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers that JSON has; a correlation of what does not vary is unknown."""
    return {key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in row.items()}


def components(room: Room, prompts: Prompts, choice: Choice) -> tuple[tuple[Node, ...], tuple[Component, ...]]:
    """The circuit's strongest heads and MLPs by exact effect, and what was seen of each."""
    graph, n = room.graph, room.config.nodes
    writers = [node for node in nodes_of(graph.edges_of(choice.mask)) if node.kind in ("head", "mlp")]
    index = torch.tensor([graph.sources.index(node) for node in writers], dtype=torch.long)
    ranked = node_scores(choice.scores)[index].abs().argsort(descending=True, stable=True)
    candidates = [writers[at] for at in ranked[: CANDIDATES * n].tolist()]
    room.reporter.say(f"patching {len(candidates)} components exactly, and looking at them")
    effects = room.node_effects(prompts, candidates)
    order = [at for at in np.argsort(-np.abs(effects.mean(1)), kind="stable") if _matters(effects[at])][:n]
    nodes = tuple(candidates[at] for at in order)
    seen = observed(room, prompts, nodes, effects[order])
    deepest = max(1, graph.n_layers - 1)
    return nodes, tuple(
        Component(f"C{at}", "mlp" if node.kind == "mlp" else "head", round(node.layer / deepest, 2), quantities)
        for at, (node, quantities) in enumerate(zip(nodes, seen, strict=True), 1)
    )


def _matters(effect: Float[np.ndarray, " prompts"]) -> bool:
    """Whether the sign of an effect is sure: what may be nothing gets no role."""
    seen = mean_interval(effect)
    return seen.low > 0 or seen.high < 0


def observed(
    room: Room, prompts: Prompts, nodes: tuple[Node, ...], effects: Float[np.ndarray, "node prompts"]
) -> list[dict[str, Seen]]:
    """Every quantity of every component on these prompts."""
    looks = room.looks(prompts, nodes)
    found: list[dict[str, Seen]] = []
    for effect, look in zip(effects, looks, strict=True):
        values = {"effect": effect, "direct": look.direct, **look.attention}
        values |= {"copies": look.copies} if look.copies else {}
        found.append({name: Seen(*mean_interval(np.asarray(each, dtype=float))) for name, each in values.items()})
    return found


def nodes_of(edges: list[Edge]) -> list[Node]:
    """The nodes that write a circuit's edges, in the order of computation."""
    return list(dict.fromkeys(edge.source for edge in edges))
