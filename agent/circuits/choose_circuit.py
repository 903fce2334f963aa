"""From ranked edges to a circuit, on discovery prompts.

1. Weigh edges that work against the answer, so that a circuit of the given size has f near 1.
2. Optionally swap edges in rounds, by what they do in the circuit.
3. Grow the circuit from the logits; or, given an f to reach, take the smallest circuit that has it.
4. Compare estimates with exact effects, for the strongest edges and a random sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...evals.statistics.faithfulness import (
    Calibration,
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
from .prompts import PromptSet
from .result import WeightRow

CHECKED_PROMPTS = 6
"""Discovery prompts on which single edges are measured exactly."""
TOP_EDGES, RANDOM_EDGES = 20, 10
BALANCED_PROMPTS = 48
"""Discovery prompts on which weights of opposing edges are tried, usually four or five."""
REFINED_PROMPTS = 32
"""Discovery prompts of a round of swapping, which takes three passes with gradients of each."""
SEARCHED_PROMPTS = 16
"""Discovery prompts on which the search for the smallest circuit measures f of each size."""

Scores = Float[Tensor, "source target"]


@dataclass(frozen=True)
class Balance:
    """How much opposing edges count in the ranking; `tried`: each weight with its f on discovery prompts."""

    weight: float
    tried: tuple[WeightRow, ...]


@dataclass(frozen=True, eq=False)
class ChosenCircuit:
    """A circuit, and the scores that it was chosen by.

    Attributes:
        prompt_scores: every edge's attribution on every discovery prompt; `scores` is the mean. None
            for an imported circuit.
        ranking: the scores that the circuit was grown from, as are circuits of other sizes.
        exact: exact effects of the edges that were measured; `calibration`: estimates compared with them.
    """

    mask: Mask
    prompt_scores: Float[Tensor, "pairs source target"] | None
    scores: Scores
    ranking: Scores
    balance: Balance
    exact: dict[str, float]
    calibration: dict[str, dict[str, float | None]]

    @property
    def n_edges(self) -> int:
        """Size of the circuit."""
        return int(self.mask.sum())


def choose_circuit(
    context: CircuitContext, prompts: PromptSet, prompt_scores: Float[Tensor, "pairs source target"]
) -> ChosenCircuit:
    """The circuit of the configured size, or the smallest with the configured f."""
    config, graph = context.config, context.graph
    scores = prompt_scores.mean(0)
    if config.faithfulness:
        balance = Balance(config.opposing or 1.0, ())
        ranking = weight_opposing(scores, balance.weight)
        f = _faithfulness_on(context, prompts.subset(SEARCHED_PROMPTS))
        mask = smallest_faithful(graph, ranking, f, config.faithfulness)
    else:
        n = max(1, round(config.share * graph.n_edges))
        balance = choose_balance(context, prompts.subset(BALANCED_PROMPTS), scores, n)
        weighted = weight_opposing(scores, balance.weight)
        ranking = refine_ranking(context, prompts, weighted, n)
        mask = top_edges(graph, ranking, n)
    exact, calibration = calibrate(context, prompts, scores)
    return ChosenCircuit(mask, prompt_scores, scores, ranking, balance, exact, calibration)


def choose_imported(context: CircuitContext, prompts: PromptSet) -> ChosenCircuit:
    """The circuit of the run's imported file, with its scores compared with exact effects."""
    fitted = context.imported
    scores = fitted.scores
    exact, calibration = calibrate(context, prompts, scores) if fitted.n_scored else ({}, {})
    # Without scores, the file's own edges come first at every size.
    ranking = scores if fitted.n_scored else fitted.mask.to(scores)
    return ChosenCircuit(fitted.mask, None, scores, ranking, Balance(1.0, ()), exact, calibration)


def choose_balance(context: CircuitContext, prompts: PromptSet, scores: Scores, n: int) -> Balance:
    """The weight of opposing edges at which the far end of f's interval is nearest to 1, for n edges."""
    if context.config.opposing or not has_both_signs(scores):
        return Balance(context.config.opposing or 1.0, ())
    differences = context.logit_differences(prompts)
    tried: dict[float, PromptInterval] = {}

    def f(weight: float) -> float:
        context.reporter.say(f"letting what works against the answer count {weight:.2f} times")
        mask = top_edges(context.graph, weight_opposing(scores, weight), n)
        metric = context.circuit_metric(prompts, mask)
        tried[weight] = faithfulness_interval(metric, differences.clean, differences.corrupted)
        return tried[weight].value

    weights = search_weight(f)
    best = min(weights, key=lambda weight: max(1 - tried[weight].low, tried[weight].high - 1))
    rows = [WeightRow(weight=weight, **tried[weight]._asdict()) for weight in weights]
    return Balance(best, tuple(rows))


def refine_ranking(context: CircuitContext, prompts: PromptSet, scores: Scores, n: int) -> Scores:
    """Scores of the circuit of n edges that is nearest to the model, pair by pair, of all rounds of swapping."""
    if not context.config.rounds:
        return scores
    subset = prompts.subset(REFINED_PROMPTS)
    model_metric = context.logit_differences(subset).clean

    def missing(mask: Mask) -> Float[Tensor, " pairs"]:
        """The model's metric minus the circuit's."""
        return torch.from_numpy(model_metric - context.circuit_metric(subset, mask))

    ranking = scores
    mask = top_edges(context.graph, ranking, n)
    residual = missing(mask)
    rounds = [(float(residual.square().mean()), 0, ranking)]
    for number in range(1, context.config.rounds + 1):
        effects = context.move_effects(subset, mask)
        ranking = rerank(context.graph, mask, residual, effects, scores)
        mask = top_edges(context.graph, ranking, n)
        residual = missing(mask)
        rounds.append((float(residual.square().mean()), number, ranking))
    return min(rounds)[2]  # the number comes second, so that a tie never compares tensors


def _faithfulness_on(context: CircuitContext, prompts: PromptSet) -> Callable[[Mask], float]:
    """A function from a circuit's mask to its faithfulness f on these prompts."""
    differences = context.logit_differences(prompts)

    def f(mask: Mask) -> float:
        context.reporter.say(f"trying {int(mask.sum()):,} edges")
        metric = context.circuit_metric(prompts, mask)
        return faithfulness(metric, differences.clean, differences.corrupted)

    return f


def calibrate(
    context: CircuitContext, prompts: PromptSet, scores: Scores
) -> tuple[dict[str, float], dict[str, dict[str, float | None]]]:
    """Exact effects of the strongest edges and a random sample; and how far estimates agree with them."""
    graph = context.graph
    edges = graph.edges_of(graph.all_edges)
    flat = scores[graph.all_edges].double().numpy()
    order = np.argsort(-np.abs(flat), kind="stable")
    top, rest = order[:TOP_EDGES], order[TOP_EDGES:]
    rng = np.random.default_rng(context.config.seed)
    drawn = rng.choice(rest, min(RANDOM_EDGES, len(rest)), replace=False)
    context.reporter.say(f"measuring {len(top) + len(drawn)} edges exactly")
    checked = [edges[i] for i in (*top, *drawn)]
    exact = context.edge_effects(prompts.subset(CHECKED_PROMPTS), checked).mean(1)
    estimated = flat[np.concatenate([top, drawn])]
    parts = {"top": slice(0, len(top)), "random": slice(len(top), None)}
    calibration = {
        name: _finite(compare_with_exact(estimated[part], exact[part]))
        for name, part in parts.items()
        if len(exact[part])
    }
    return {str(e): float(value) for e, value in zip(checked, exact, strict=True)}, calibration


def _finite(row: Calibration) -> dict[str, float | None]:
    """As JSON; the correlation of values that do not vary is nan, which JSON cannot hold, and becomes null."""
    return {name: value if np.isfinite(value) else None for name, value in row._asdict().items()}
