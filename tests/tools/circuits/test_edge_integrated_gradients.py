"""Integrated gradients over all edges: against ablation runs, finite differences, and their own completeness."""

import pytest
import torch

from hubel.tools.circuits.ablation import ablated_writes, run_circuit
from hubel.tools.circuits.edge_integrated_gradients import _MixtureRun, attribute_all_edges
from hubel.tools.circuits.forward_record import record
from hubel.tools.circuits.methods import METHODS, edge_effects, edge_method, score_edges
from hubel.tools.errors import UsageError

from .conftest import WIRED, circuit_model, random_pairs


@pytest.mark.parametrize("model_type", WIRED)
def test_shares_of_nothing_and_all_are_an_ablation_run(model_type: str) -> None:
    model, pairs = circuit_model(model_type), random_pairs()
    twin = ablated_writes(model, pairs)
    assert twin is not None
    generator = torch.Generator().manual_seed(1)
    mask = model.graph.all_edges & (
        torch.rand(model.graph.all_edges.shape, generator=generator) < 0.5
    )
    shares = (~mask).double().expand(len(pairs), -1, -1)
    with torch.no_grad():
        mixed = _MixtureRun(model, pairs, twin).metric(shares)
    torch.testing.assert_close(mixed, run_circuit(model, pairs, mask))


@pytest.mark.parametrize("model_type", ["llama", "gpt2"])
def test_scores_add_up_to_the_difference_of_the_twins(model_type: str) -> None:
    model, pairs = circuit_model(model_type), random_pairs(1)  # a single pair has the midpoints
    clean, twin = (
        record(model, ids, pairs.logit_difference).metric for ids in (pairs.clean, pairs.corrupted)
    )
    assert clean is not None
    assert twin is not None
    change = attribute_all_edges(model, pairs, steps=64).sum((1, 2))
    torch.testing.assert_close(change, twin - clean, atol=2e-3, rtol=5e-3)


def test_a_derivative_is_a_finite_difference() -> None:
    # LayerNorm computes in double precision, RMSNorm in single.
    model, pairs = circuit_model("gpt2"), random_pairs(2)
    twin = ablated_writes(model, pairs)
    assert twin is not None
    run = _MixtureRun(model, pairs, twin)
    shares = torch.full((2, *model.graph.all_edges.shape), 0.3, dtype=torch.float64)
    derivatives = run.derivatives(shares)
    for target, source in ((0, 0), (12, 3), (17, 2), (22, 4), (-1, 7), (-1, 0)):
        moved = torch.zeros_like(shares)
        moved[:, source, target] = 1e-5
        with torch.no_grad():
            ends = [run.metric(shares + sign * moved) for sign in (1, -1)]
        torch.testing.assert_close(
            (ends[0] - ends[1]) / 2e-5, derivatives[:, source, target], atol=1e-6, rtol=1e-4
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_every_method_scores_every_edge_and_no_other(name: str) -> None:
    model, pairs = circuit_model(), random_pairs()
    effects = edge_effects(name, model, pairs, steps=2)
    assert effects.shape == (len(pairs), *model.graph.all_edges.shape)
    scores = score_edges(name, model, pairs)
    assert scores.shape == model.graph.all_edges.shape
    assert (scores[~model.graph.all_edges] == 0).all()
    assert (scores[model.graph.all_edges] >= 0).all()
    assert (scores[model.graph.all_edges] > 0).float().mean() > 0.9


def test_no_steps_and_unknown_or_taken_methods_are_refused() -> None:
    model, pairs = circuit_model(), random_pairs()
    with pytest.raises(UsageError, match="0 steps"):
        attribute_all_edges(model, pairs, steps=0)
    with pytest.raises(UsageError, match="eap-ig-edges"):
        score_edges("nothing", model, pairs)
    with pytest.raises(UsageError, match="registered already"):
        edge_method("eap")(METHODS["eap"].run)
