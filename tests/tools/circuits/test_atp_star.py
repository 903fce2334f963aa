"""AtP* where its answer is known: silent values, a twin that is the prompt itself, and the last layer."""

from typing import cast

import pytest
import torch

from hubel.tools.circuits.atp_star import Part, grad_drop, through_softmax
from hubel.tools.circuits.attribution import attribute
from hubel.tools.errors import UsageError

from .conftest import WIRED, circuit_model, random_pairs


@pytest.mark.parametrize("model_type", WIRED)
def test_every_familys_attention_can_be_run_again(model_type: str) -> None:
    model, pairs = circuit_model(model_type), random_pairs()
    found = through_softmax(model, pairs, "v")
    assert found.shape == (3, 3, 4)
    assert (found.abs().sum((0, 2)) > 0).all()


def test_a_pattern_over_equal_values_has_no_effect() -> None:
    """Values of zero everywhere: queries and keys change the pattern and nothing else."""
    model, pairs = circuit_model(), random_pairs()
    for layer in model.joints:
        torch.nn.init.zeros_(cast(torch.Tensor, layer.projections[2].weight))
    for part in ("q", "k"):
        found = through_softmax(model, pairs, part)
        torch.testing.assert_close(found, torch.zeros_like(found))


@pytest.mark.parametrize("part", ["q", "k", "v"])
def test_patched_with_itself_nothing_changes(part: Part) -> None:
    model, pairs = circuit_model(), random_pairs()
    pairs.corrupted.copy_(pairs.clean)
    assert through_softmax(model, pairs, part).abs().max() < 1e-6


def test_grad_drop_leaves_the_last_layer_as_it_was() -> None:
    """Heads of the last layer write to the logits alone: only the drop of their own layer takes their gradient away."""
    model, pairs = circuit_model(), random_pairs()
    found, plain = grad_drop(model, pairs), attribute(model, pairs).heads.mean(0).abs()
    torch.testing.assert_close(found[-1], plain[-1].to(found), atol=1e-5, rtol=1e-4)


def test_a_model_of_one_layer_is_refused() -> None:
    model = circuit_model()
    object.__setattr__(model.graph, "n_layers", 1)
    with pytest.raises(UsageError, match="needs two or more"):
        grad_drop(model, random_pairs())
