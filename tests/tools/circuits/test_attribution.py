"""Attribution against finite differences and against exact patching."""

import pytest
import torch
from torch import Tensor

from hubel.tools.circuits.ablation import run_circuit
from hubel.tools.circuits.attribution import attribute, attribute_activations
from hubel.tools.circuits.graph import Node
from hubel.tools.circuits.sweep import Sweep

from .conftest import WIRED, circuit_model, random_pairs

SHARE = 1e-3  # the families' norms work in single precision, which leaves no digits for less


class SmallSteps(Sweep):
    """Patches a small share of each edge's change, forward or back, so that effects tell a derivative."""

    share = SHARE

    def _change(self, source: Node) -> Tensor:
        return self.share * super()._change(source)


class Back(SmallSteps):
    share = -SHARE


@pytest.mark.parametrize("model_type", WIRED)
def test_edges_are_finite_differences(model_type: str) -> None:
    model, pairs = circuit_model(model_type), random_pairs()
    edges = model.graph.edges_of(model.graph.all_edges)
    exact = (SmallSteps(model, pairs).edges(edges) - Back(model, pairs).edges(edges)) / (2 * SHARE)
    effects = attribute(model, pairs).edges[:, model.graph.all_edges].T
    assert (effects - exact).norm() < 1e-3 * exact.norm()


def test_heads_and_neurons_add_up_like_the_edges_out_of_them() -> None:
    """A head's attribution is the sum of its edges': gradients at its output pass through all of them."""
    model, pairs = circuit_model(), random_pairs()
    attribution = attribute(model, pairs)
    out = attribution.edges.sum(2)[:, 1:].unflatten(1, (model.graph.n_layers, -1))
    torch.testing.assert_close(attribution.heads, out[:, :, :-1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(attribution.neurons.sum(2), out[:, :, -1], atol=1e-5, rtol=1e-4)


def test_integrated_over_the_inputs_the_input_has_the_whole_effect() -> None:
    model, pairs = circuit_model(), random_pairs()
    sweep = Sweep(model, pairs)
    assert sweep.twin.metric is not None
    whole = sweep.twin.metric - sweep.baseline
    torch.testing.assert_close(
        attribute(model, pairs, steps=60).edges[:, 0].sum(1), whole, atol=2e-2, rtol=1e-2
    )


@pytest.mark.slow
@pytest.mark.parametrize(("source", "steps"), [(0, 60), (5, 20), (10, 20)])
def test_integrated_over_activations_a_source_has_its_exact_effect(source: int, steps: int) -> None:
    """The input and MLPs move alone, so that their edges' integrals add up to the effect of patching them."""
    model, pairs = circuit_model(), random_pairs()
    without = model.graph.all_edges.clone()
    without[source] = False
    exact = run_circuit(model, pairs, without) - Sweep(model, pairs).baseline
    estimate = attribute_activations(model, pairs, steps)[:, source].sum(1)
    torch.testing.assert_close(estimate, exact, atol=2e-2, rtol=2e-2)
