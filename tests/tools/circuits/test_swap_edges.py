"""Refinement: what edges add in a circuit's own state, and circuits that come nearer to the model by it."""

import pytest
import torch

from hubel.tools.circuits.ablation import run_circuit
from hubel.tools.circuits.attribution import attribute
from hubel.tools.circuits.discovery import random_circuit, top_edges
from hubel.tools.circuits.graph import Edge, Graph
from hubel.tools.circuits.swap_edges import matching_pursuit_swap, move_effects, rerank

from .conftest import circuit_model, random_pairs


@pytest.mark.parametrize("model_type", ["llama", "gpt2"])
def test_missing_edges_add_up_to_what_the_circuit_lacks(model_type: str) -> None:
    model, pairs = circuit_model(model_type), random_pairs(1)
    mask = random_circuit(model.graph, 40)
    missing = run_circuit(model, pairs, model.graph.all_edges) - run_circuit(model, pairs, mask)
    effects = move_effects(model, pairs, mask, steps=64)
    torch.testing.assert_close(effects[:, ~mask].sum(1), missing, atol=2e-3, rtol=5e-3)


def test_an_edge_whose_loss_is_estimated_small_loses_little() -> None:
    model, pairs = circuit_model(), random_pairs(2)
    mask = random_circuit(model.graph, 60)
    effects = move_effects(model, pairs, mask)
    there = run_circuit(model, pairs, mask)
    order = torch.where(mask, effects.abs().mean(0), torch.inf).flatten().argsort()
    least, most = (mask.clone() for _ in range(2))
    least.view(-1)[order[0]] = False
    most.view(-1)[order[59]] = False
    lost = [float((run_circuit(model, pairs, each) - there).abs().mean()) for each in (least, most)]
    assert lost[0] < lost[1]


def test_the_best_swaps_bring_every_pair_nearer() -> None:
    graph = Graph(2, 2, 1)
    mask = graph.mask_of([Edge.parse("input->logits<logits>"), Edge.parse("mlp.0->logits<logits>")])
    moved = torch.zeros(2, *graph.all_edges.shape)
    moved[:, 1, -1] = torch.tensor([1.0, 0.5])  # mends both pairs
    moved[:, 2, -1] = torch.tensor([0.2, 1.0])  # good for the first, too much for the second
    moved[:, 0, -1] = torch.tensor([-1.0, -1.0])
    moved[:, 3, -1] = torch.tensor([0.1, 0.1])  # works against the circuit that it is in
    chosen = matching_pursuit_swap(graph, mask, torch.tensor([1.1, 0.6]), moved, share=1)
    assert chosen[:, -1].tolist() == [True, True, False, False, False, False, False]


def test_swaps_stop_when_nothing_is_missing_and_at_their_share() -> None:
    graph = Graph(2, 2, 1)
    mask = random_circuit(graph, 8)
    moved = torch.randn(3, *graph.all_edges.shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(matching_pursuit_swap(graph, mask, torch.zeros(3), moved.abs()), mask)
    assert (
        int(
            (
                matching_pursuit_swap(graph, mask, torch.full((3,), 50.0), moved, share=0.25)
                & ~mask
            ).sum()
        )
        == 2
    )
    assert torch.isfinite(rerank(graph, graph.all_edges, torch.ones(3), moved, moved[0])).all(), (
        "no edge is missing"
    )


def test_rounds_bring_a_circuit_nearer_to_the_model() -> None:
    model, pairs = circuit_model(), random_pairs(6)
    whole = run_circuit(model, pairs, model.graph.all_edges)
    scores = ranking = attribute(model, pairs, steps=4).edge_scores()
    left: list[float] = []
    for _ in range(4):
        mask = top_edges(model.graph, ranking, 50)
        missing = whole - run_circuit(model, pairs, mask)
        left.append(float(missing.square().mean()))
        ranking = rerank(model.graph, mask, missing, move_effects(model, pairs, mask), scores)
    assert min(left[1:]) < 0.8 * left[0]
