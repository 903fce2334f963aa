"""Ways to score all edges of a model at once, by name: what `hubel bench circuits` compares and discovery can use.

Each takes a model and pairs and gives the size of the mean effect over the pairs, 0 where there is no edge.

    random          no look at the model: the floor
    eap             attribution patching at the clean prompt
    atp-qk          the same with the softmax computed anew for queries and keys (AtP*, its first half)
    atp-star        and gradients with one layer at a time held constant (AtP*)
    eap-ig-inputs   integrated gradients along the embeddings
    eap-ig-act      integrated gradients, one layer's writes at a time
    eap-ig-edges    integrated gradients over all edges at once (`mixing`)
    exact           every edge patched alone in the clean run: as many runs as there are edges
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from .attribution import attribute, attribute_activations
from .corrected_edges import attribute_star, attribute_through_softmax
from .mixing import attribute_mixed
from .prompts import PromptPairs
from .sweep import Sweep
from .wiring import CircuitModel

Scores = Float[Tensor, "source target"]
Method = Callable[[CircuitModel, PromptPairs], Scores]

METHODS: dict[str, Method] = {}
IG_STEPS = 5
"""As MIB uses for both integrated gradients."""
EDGE_STEPS = 8


def edge_method(name: str) -> Callable[[Method], Method]:
    """Register a method; a name that is taken is refused."""

    def register(method: Method) -> Method:
        if name in METHODS:
            raise UsageError(f"a method {name!r} is registered already")
        METHODS[name] = method
        return method

    return register


def score_edges(name: str, model: CircuitModel, pairs: PromptPairs) -> Scores:
    """Every edge's size by a method; raises UsageError for an unknown one, with the known."""
    if name not in METHODS:
        raise UsageError(f"method {name!r} given; known: {', '.join(METHODS)}")
    return METHODS[name](model, pairs)


@edge_method("random")
def _random(model: CircuitModel, pairs: PromptPairs) -> Scores:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(model.graph.possible.shape, generator=generator) * model.graph.possible


@edge_method("eap")
def _eap(model: CircuitModel, pairs: PromptPairs) -> Scores:
    return attribute(model, pairs).edge_scores().abs()


@edge_method("atp-qk")
def _atp_qk(model: CircuitModel, pairs: PromptPairs) -> Scores:
    return attribute_through_softmax(model, pairs).mean(0).abs()


@edge_method("atp-star")
def _atp_star(model: CircuitModel, pairs: PromptPairs) -> Scores:
    return attribute_star(model, pairs)


@edge_method("eap-ig-inputs")
def _eap_ig_inputs(model: CircuitModel, pairs: PromptPairs) -> Scores:
    return attribute(model, pairs, IG_STEPS).edge_scores().abs()


@edge_method("eap-ig-act")
def _eap_ig_activations(model: CircuitModel, pairs: PromptPairs) -> Scores:
    return attribute_activations(model, pairs, IG_STEPS).mean(0).abs()


@edge_method("eap-ig-edges")
def _eap_ig_edges(model: CircuitModel, pairs: PromptPairs) -> Scores:
    return attribute_mixed(model, pairs, EDGE_STEPS).mean(0).abs()


@edge_method("exact")
def _exact(model: CircuitModel, pairs: PromptPairs) -> Scores:
    graph = model.graph
    effects = Sweep(model, pairs).edges(graph.edges_of(graph.possible)).mean(1)
    scores = torch.zeros(graph.possible.shape, dtype=effects.dtype)
    scores[graph.possible] = effects.cpu().abs()
    return scores
