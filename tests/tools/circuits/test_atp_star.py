"""AtP* for edges: where the softmax's whole step is known, where nothing passes it, and where effects cancel."""

from collections.abc import Callable
from typing import cast

import pytest
import torch

from hubel.tools.circuits.atp_star import attribute_star, attribute_through_softmax
from hubel.tools.circuits.attribution import attribute
from hubel.tools.circuits.graph import Edge
from hubel.tools.circuits.sweep import Sweep
from hubel.tools.errors import UsageError

from .conftest import WIRED, circuit_model, random_pairs


@pytest.mark.parametrize("model_type", WIRED)
def test_in_the_last_layer_single_steps_are_nearly_exact_and_better_than_slopes(
    model_type: str,
) -> None:
    """A small step of z into the last residual stream is linear; the softmax before it is not, and is now exact."""
    model, pairs = circuit_model(model_type), random_pairs()
    pairs.corrupted[:, -1] = torch.tensor([7, 70, 170])  # another query at the last position
    last = model.subject.parts.layers[-1]
    with (
        torch.no_grad()
    ):  # so that what the last layer writes is small, and the way behind it linear
        cast(torch.Tensor, last.attention_out.weight).mul_(1e-2)
    graph = model.graph
    edges = [Edge.parse(f"input->head.{graph.n_layers - 1}.1<{part}>") for part in ("q", "k")]
    exact = Sweep(model, pairs).edges(edges)
    masks = [graph.mask_of([edge]) for edge in edges]
    star, plain = attribute_through_softmax(model, pairs), attribute(model, pairs).edges
    for size, mask in zip(exact, masks, strict=True):
        torch.testing.assert_close(
            star[:, mask][:, 0].cpu(), size, rtol=1e-2, atol=3e-6
        )  # norms in singles
        assert (star[:, mask][:, 0] - size).abs().sum() < (plain[:, mask][:, 0] - size).abs().sum()


def test_a_pattern_over_equal_values_has_no_effect() -> None:
    """Values of zero in the last layer: its queries and keys change the pattern and nothing else."""
    model, pairs = circuit_model(), random_pairs()
    torch.nn.init.zeros_(cast(torch.Tensor, model.readers[-1].projections[2].weight))
    effects, graph = attribute_through_softmax(model, pairs), model.graph
    into_pattern = torch.tensor([target.input in ("q", "k") for target in graph.targets])
    last_layer = torch.arange(len(graph.targets)) >= graph.first_target(graph.n_layers - 1)
    silent = effects[:, :, into_pattern & last_layer]
    torch.testing.assert_close(silent, torch.zeros_like(silent))
    assert effects[:, :, into_pattern & ~last_layer].abs().max() > 1e-6


@pytest.mark.parametrize("attribute_edges", [attribute_through_softmax, attribute_star])
def test_patched_with_itself_nothing_changes(attribute_edges: Callable[..., torch.Tensor]) -> None:
    model, pairs = circuit_model(), random_pairs()
    pairs.corrupted.copy_(pairs.clean)
    assert attribute_edges(model, pairs).abs().max() < 1e-6


def test_edges_into_values_mlps_and_logits_are_those_of_plain_attribution() -> None:
    model, pairs = circuit_model(), random_pairs()
    star, plain = attribute_through_softmax(model, pairs), attribute(model, pairs).edges
    others = torch.tensor([target.input not in ("q", "k") for target in model.graph.targets])
    torch.testing.assert_close(star[:, :, others], plain[:, :, others])
    assert (star[:, :, ~others] - plain[:, :, ~others]).abs().max() > 1e-3


def test_edges_with_one_path_to_the_logits_keep_their_size() -> None:
    """The last layer's own drop takes its edges away once in L passes, which the factor L / (L - 1)
    makes good; into the logits no drop takes anything away, and the factor remains (3 layers: 3 /
    2)."""
    model, pairs = circuit_model(), random_pairs()
    star, plain = attribute_star(model, pairs), attribute(model, pairs).edges.mean(0).abs()
    logits = model.graph.mask_of([Edge.parse("mlp.1->logits<logits>")])
    torch.testing.assert_close(star[logits], plain[logits] * 3 / 2)
    values = model.graph.mask_of([Edge.parse("input->head.2.0<v>")])
    torch.testing.assert_close(star[values], plain[values])


def test_a_model_of_one_layer_is_refused() -> None:
    model = circuit_model()
    object.__setattr__(model.graph, "n_layers", 1)
    with pytest.raises(UsageError, match="needs two or more"):
        attribute_star(model, random_pairs())
