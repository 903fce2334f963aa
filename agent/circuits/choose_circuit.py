"""From ranked edges to a circuit, on discovery prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...evals.statistics.faithfulness import (
    PromptInterval,
    compare_with_exact,
    faithfulness,
    faithfulness_interval,
)
from ...tools.circuits.discovery import smallest_faithful, top_edges
from ...tools.circuits.graph import Mask
from ...tools.circuits.opposing_weight import has_both_signs, search_weight, weight_opposing
from ...tools.circuits.swap_edges import rerank
from .context import CircuitContext
from .prompts import Prompts

CHECKED_PROMPTS = 6
"""Discovery prompts on which single edges are measured exactly."""
TOP_EDGES, RANDOM_EDGES = 20, 10
BALANCED_PROMPTS = 48
"""Discovery prompts on which weights of opposing edges are tried, four or five as a rule."""
REFINED_PROMPTS = 32
"""Discovery prompts on which edges are reconsidered: a round costs three passes with gradients of each."""
SEARCHED_PROMPTS = 16
"""Discovery prompts on which a threshold search measures f of each size that it tries."""


@dataclass(frozen=True)
class Balance:
    """How much opposing edges count in the ranking; `tried`: each weight with its f on discovery prompts."""

    weight: float
    tried: tuple[dict[str, float], ...]


@dataclass(frozen=True, eq=False)
class Choice:
    """A circuit.

    Attributes:
        prompt_scores: every edge's attribution on every discovery prompt; `scores` is the mean.
        ranking: the scores that the circuit was grown from, and circuits of other sizes are.
        balance: what opposing edges count in it.
        exact: edges measured exactly, with their effects; `calibration` holds estimates against these.
    """

    mask: Mask
    prompt_scores: Float[Tensor, "pairs source target"]
    scores: Float[Tensor, "source target"]
    ranking: Float[Tensor, "source target"]
    balance: Balance
    exact: dict[str, float]
    calibration: dict[str, Any]

    @property
    def n_edges(self) -> int:
        """Size of the circuit."""
        return int(self.mask.sum())


def choose(
    room: CircuitContext, prompts: Prompts, prompt_scores: Float[Tensor, "pairs source target"]
) -> Choice:
    """The circuit of the size asked for, or the smallest with the f asked for."""
    scores, graph = prompt_scores.mean(0), room.graph
    if room.config.faithfulness:
        balance = Balance(room.config.opposing or 1.0, ())
        ranking = weight_opposing(scores, balance.weight)
        mask = smallest_faithful(
            graph, ranking, _f_of(room, prompts.some(SEARCHED_PROMPTS)), room.config.faithfulness
        )
    else:
        n = max(1, round(room.config.share * graph.n_edges))
        balance = found_balance(room, prompts.some(BALANCED_PROMPTS), scores, n)
        ranking = refined(room, prompts, weight_opposing(scores, balance.weight), n)
        mask = top_edges(graph, ranking, n)
    exact, found = calibrated(room, prompts, scores)
    return Choice(mask, prompt_scores, scores, ranking, balance, exact, found)


def found_balance(
    room: CircuitContext, prompts: Prompts, scores: Float[Tensor, "source target"], n: int
) -> Balance:
    """The weight of opposing edges whose circuit of n edges has the interval of f that ends nearest to 1."""
    if room.config.opposing or not has_both_signs(scores):
        return Balance(room.config.opposing or 1.0, ())
    readings, tried = room.readings(prompts), dict[float, PromptInterval]()

    def f(weight: float) -> float:
        room.reporter.say(f"letting what works against the answer count {weight:.2f} times")
        circuit = room.run(prompts, top_edges(room.graph, weight_opposing(scores, weight), n))
        tried[weight] = faithfulness_interval(circuit, readings.clean, readings.corrupted)
        return tried[weight].value

    weights = search_weight(f)
    best = min(weights, key=lambda weight: max(1 - tried[weight].low, tried[weight].high - 1))
    return Balance(best, tuple({"weight": weight} | tried[weight]._asdict() for weight in weights))


def refined(
    room: CircuitContext, prompts: Prompts, scores: Float[Tensor, "source target"], n: int
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
        ranking = rerank(room.graph, mask, left, room.changes(some, mask), scores)
        left = missing(ranking)
        found.append((float(left.square().mean()), at + 1, ranking))
    return min(found)[2]


def _f_of(room: CircuitContext, prompts: Prompts) -> Any:
    readings = room.readings(prompts)

    def f(mask: Mask) -> float:
        room.reporter.say(f"trying {int(mask.sum()):,} edges")
        return faithfulness(room.run(prompts, mask), readings.clean, readings.corrupted)

    return f


def calibrated(
    room: CircuitContext, prompts: Prompts, scores: Float[Tensor, "source target"]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Estimates held against exact patching, the strongest edges and a random sample apart."""
    graph = room.graph
    possible = graph.edges_of(graph.all_edges)
    flat = scores[graph.all_edges].double().numpy()
    order = np.argsort(-np.abs(flat), kind="stable")
    top, rest = order[:TOP_EDGES], order[TOP_EDGES:]
    drawn = np.random.default_rng(room.config.seed).choice(
        rest, min(RANDOM_EDGES, len(rest)), replace=False
    )
    room.reporter.say(f"measuring {len(top) + len(drawn)} edges exactly")
    some = prompts.some(CHECKED_PROMPTS)
    edges = [possible[at] for at in (*top, *drawn)]
    exact = room.edge_effects(some, edges).mean(1)
    estimated = flat[np.concatenate([top, drawn])]
    parts = {"top": slice(0, len(top)), "random": slice(len(top), None)}
    found = {
        name: _finite(compare_with_exact(estimated[at], exact[at])._asdict())
        for name, at in parts.items()
        if len(exact[at])
    }
    return {str(edge): float(value) for edge, value in zip(edges, exact, strict=True)}, found


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers that JSON has; a correlation of what does not vary is unknown."""
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value
        for key, value in row.items()
    }
