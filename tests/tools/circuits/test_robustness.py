"""What speaks against a circuit, on circuits whose answer is known."""

import pytest
import torch

from hubel.tools.circuits.attribution import attribute
from hubel.tools.circuits.discovery import faithfulness_of, top_edges
from hubel.tools.circuits.robustness import (
    minimality,
    resampled_circuits,
    rival_circuit,
    shared_edges,
)
from hubel.tools.circuits.sweep import Sweep

from .conftest import circuit_model, random_pairs


def test_without_an_edge_the_whole_model_loses_that_edges_effect() -> None:
    model, pairs = circuit_model(), random_pairs()
    edges = model.graph.edges_of(model.graph.all_edges)[::40]
    sweep = Sweep(model, pairs)
    assert sweep.twin.metric is not None
    span = float((sweep.baseline - sweep.twin.metric).mean())
    exact = [-float(effect.mean()) / span for effect in sweep.edges(edges)]
    assert minimality(
        faithfulness_of(model, pairs), model.graph, model.graph.all_edges, edges
    ) == pytest.approx(exact, abs=1e-4)


def test_prompts_that_agree_give_one_circuit() -> None:
    model = circuit_model()
    prompt_effects = attribute(model, random_pairs(1)).edges
    circuits = resampled_circuits(
        model.graph, prompt_effects.repeat(4, 1, 1), 12, prompts=4, draws=5
    )
    assert all(torch.equal(circuit, circuits[0]) for circuit in circuits)


def test_a_rival_is_of_equal_size_and_told_by_its_overlap() -> None:
    model, pairs = circuit_model(), random_pairs()
    scores = attribute(model, pairs).edge_scores()
    mask = top_edges(model.graph, scores, 30)
    other = rival_circuit(model.graph, scores, mask)
    assert int(other.sum()) == 30
    assert shared_edges(other, mask) == pytest.approx(int((other & mask).sum()) / 30)
    assert shared_edges(other, mask) < 0.5
    assert torch.equal(rival_circuit(model.graph, scores, mask, weight=1.0), mask)
