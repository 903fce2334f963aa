"""Methods that score all edges of a model, by name, for `hubel circuit run` and `hubel bench circuits`.

Each method takes a model and pairs, and returns the estimated effect on each pair of patching each
edge from its twin; 0 where there is no edge. `score_edges` is the size of the mean over the pairs.

    random          without looking at the model: the floor
    eap             attribution patching at the clean prompt
    atp-qk          the same with the softmax recomputed for queries and keys (AtP*, first half)
    atp-star        and gradients with one layer at a time held constant (AtP*)
    eap-ig-inputs   integrated gradients along the embeddings
    eap-ig-act      integrated gradients, one layer's writes at a time
    eap-ig-edges    integrated gradients over all edges at once (`edge_integrated_gradients`)
    exact           every edge patched alone in the clean run: as many runs as there are edges
    acdc            greedy pruning (`pruning`) of the edges that integrated gradients rank first:
                    thousands of runs
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from .atp_star import attribute_star, attribute_through_softmax
from .attribution import attribute, attribute_activations
from .circuit_model import CircuitModel
from .discovery import top_edges
from .edge_integrated_gradients import attribute_all_edges
from .prompts import PromptPairs
from .pruning import prune
from .sweep import Sweep

Scores = Float[Tensor, "source target"]
Effects = Float[Tensor, "pairs source target"]
Run = Callable[[CircuitModel, PromptPairs, int], Effects]


class Method(NamedTuple):
    """A way to score edges.

    Attributes:
        steps: default number of steps of integrated gradients; 0 if it has none.
        cost: reported before it begins; empty for methods of a few passes.
    """

    run: Run
    steps: int
    cost: str = ""


METHODS: dict[str, Method] = {}
IG_STEPS = 5
"""Steps of both integrated gradients in MIB."""
EDGE_STEPS = 8
PRUNED = 1000
"""Edges that greedy pruning tries in a model that has more."""


def edge_method(name: str, steps: int = 0, cost: str = "") -> Callable[[Run], Run]:
    """Register a method; raises UsageError if its name is taken."""

    def register(run: Run) -> Run:
        if name in METHODS:
            raise UsageError(f"a method {name!r} is registered already")
        METHODS[name] = Method(run, steps, cost)
        return run

    return register


def find_method(name: str) -> Method:
    """A method by name; raises UsageError, listing the known ones."""
    if name not in METHODS:
        raise UsageError(f"method {name!r} given; known: {', '.join(METHODS)}")
    return METHODS[name]


def edge_effects(name: str, model: CircuitModel, pairs: PromptPairs, steps: int = 0) -> Effects:
    """Every edge's effect on every pair, estimated by a method; 0 steps: the method's default."""
    method = find_method(name)
    return method.run(model, pairs, steps or method.steps).cpu()


def score_edges(name: str, model: CircuitModel, pairs: PromptPairs) -> Scores:
    """Every edge's size by a method."""
    return edge_effects(name, model, pairs).mean(0).abs()


@edge_method("random")
def _random(model: CircuitModel, pairs: PromptPairs, _steps: int) -> Effects:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(model.graph.all_edges.shape, generator=generator) * model.graph.all_edges
    return drawn.expand(len(pairs), -1, -1)


@edge_method("eap")
def _eap(model: CircuitModel, pairs: PromptPairs, _steps: int) -> Effects:
    return attribute(model, pairs).edges


@edge_method("atp-qk")
def _atp_qk(model: CircuitModel, pairs: PromptPairs, _steps: int) -> Effects:
    return attribute_through_softmax(model, pairs)


@edge_method("atp-star")
def _atp_star(model: CircuitModel, pairs: PromptPairs, _steps: int) -> Effects:
    sizes = attribute_star(model, pairs)  # of means over the pairs, without a sign
    return sizes.expand(len(pairs), -1, -1)


@edge_method("eap-ig-inputs", IG_STEPS)
def _eap_ig_inputs(model: CircuitModel, pairs: PromptPairs, steps: int) -> Effects:
    return attribute(model, pairs, steps).edges


@edge_method("eap-ig-act", IG_STEPS)
def _eap_ig_activations(model: CircuitModel, pairs: PromptPairs, steps: int) -> Effects:
    return attribute_activations(model, pairs, steps)


@edge_method("eap-ig-edges", EDGE_STEPS)
def _eap_ig_edges(model: CircuitModel, pairs: PromptPairs, steps: int) -> Effects:
    return attribute_all_edges(model, pairs, steps)


@edge_method("exact", cost="a run of the model's later layers for every edge")
def _exact(model: CircuitModel, pairs: PromptPairs, _steps: int) -> Effects:
    graph = model.graph
    effects = Sweep(model, pairs).edges(graph.edges_of(graph.all_edges)).cpu()
    full = torch.zeros(len(pairs), *graph.all_edges.shape, dtype=effects.dtype)
    full[:, graph.all_edges] = effects.mT
    return full


@edge_method(
    "acdc",
    IG_STEPS,
    f"greedy pruning within {PRUNED:,} edges: a run for every target and about six for each edge that stays",
)
def _acdc(model: CircuitModel, pairs: PromptPairs, steps: int) -> Effects:
    graph, estimated = model.graph, attribute(model, pairs, steps).edges.cpu()
    scores = estimated.mean(0)
    start = top_edges(graph, scores, min(PRUNED, graph.n_edges))
    pruned = prune(model, pairs, scores, start=start).effects.to(estimated.dtype)
    # Edges that were not tried keep their estimate, scaled to rank below every edge that was.
    largest, smallest = estimated[:, ~start].abs().amax(), pruned[:, start].abs().mean(0).min()
    return torch.where(start, pruned, estimated * (smallest / largest if largest else 0))
