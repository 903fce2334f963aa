"""Greedy pruning: what does nothing goes, what does something stays, whichever way it works."""

import pytest
import torch

from hubel.tools.circuits.ablation import run_circuit
from hubel.tools.circuits.attribution import attribute
from hubel.tools.circuits.discovery import top_edges
from hubel.tools.circuits.graph import Node
from hubel.tools.circuits.methods import edge_effects
from hubel.tools.circuits.pruning import prune
from hubel.tools.errors import UsageError

from .conftest import circuit_model, random_pairs


@pytest.mark.slow
def test_pruning_removes_edges_without_effect_and_keeps_the_answer() -> None:
    model, pairs = circuit_model(), random_pairs()
    silent = model.subject.parts.layers[1].mlp_down.weight
    assert isinstance(silent, torch.Tensor)
    silent.data.zero_()
    pruned = prune(model, pairs, attribute(model, pairs).edge_scores(), threshold=1e-6)
    assert not pruned.mask[model.graph.sources.index(Node("mlp", 1))].any()
    whole = run_circuit(model, pairs, model.graph.all_edges)
    torch.testing.assert_close(run_circuit(model, pairs, pruned.mask), whole, atol=1e-3, rtol=1e-3)


@pytest.mark.slow
def test_every_edge_that_is_left_costs_the_threshold_whichever_way_it_works() -> None:
    model, pairs = circuit_model(), random_pairs(6)
    metrics = [
        run_circuit(model, pairs, mask) for mask in (model.graph.all_edges, ~model.graph.all_edges)
    ]
    scale = float((metrics[0] - metrics[1]).mean().abs())
    pruned = prune(model, pairs, attribute(model, pairs).edge_scores(), threshold=0.02)
    assert 0 < int(pruned.mask.sum()) < model.graph.n_edges
    left = pruned.effects[:, pruned.mask]
    assert (left.abs().mean(0) >= 0.02 * scale * (1 - 1e-4)).all()
    assert (left.mean(0) > 0).any()
    assert (left.mean(0) < 0).any(), "edges for and against the answer are left"


def test_the_effect_of_a_single_edge_is_what_a_run_without_it_loses() -> None:
    model, pairs = circuit_model(), random_pairs()
    start = top_edges(
        model.graph, attribute(model, pairs).edge_scores(), 1
    )  # one edge, into the logits
    pruned = prune(model, pairs, attribute(model, pairs).edge_scores(), start=start)
    lost = run_circuit(model, pairs, ~model.graph.all_edges) - run_circuit(model, pairs, start)
    torch.testing.assert_close(pruned.effects[:, start][:, 0], lost)
    assert not pruned.effects[:, ~start].any()


@pytest.mark.slow
def test_as_a_method_it_ranks_what_pruning_did_not_see_behind() -> None:
    model, pairs = circuit_model(), random_pairs()
    scores = edge_effects("acdc", model, pairs).mean(0)
    assert scores.isfinite().all()
    assert not scores[~model.graph.all_edges].any()


def test_pairs_that_do_not_differ_have_nothing_to_prune() -> None:
    model, pairs = circuit_model(), random_pairs()
    pairs.corrupted.copy_(pairs.clean)
    with pytest.raises(UsageError, match="no circuit"):
        prune(model, pairs, torch.zeros(model.graph.all_edges.shape))
