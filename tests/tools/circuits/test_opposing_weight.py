"""Signed balance: the weight of opposing edges that makes a circuit do what the model does."""

from collections.abc import Callable

import pytest
import torch

from hubel.tools.circuits.ablation import run_circuit
from hubel.tools.circuits.attribution import attribute
from hubel.tools.circuits.discovery import faithfulness_of, top_edges
from hubel.tools.circuits.opposing_weight import has_both_signs, search_weight, weight_opposing

from .conftest import circuit_model, random_pairs


def test_opposing_edges_count_their_weight_and_helping_ones_as_before() -> None:
    scores = torch.tensor([[-3.0, 2.0], [0.0, 1.0]])
    assert weight_opposing(scores, 0.5).tolist() == [[-3.0, 1.0], [0.0, 0.5]]
    assert has_both_signs(scores)
    assert not has_both_signs(scores.abs())


@pytest.mark.parametrize(
    ("f", "root"),
    [
        (lambda weight: 1.2 - 0.3 * weight**0.5, (0.2 / 0.3) ** 2),  # falls short at 1 by .1
        (lambda weight: 1.6 - 0.3 * weight, 2.0),  # overshoots at 1
        (lambda weight: 1.0, 1.0),
    ],
)
def test_the_weight_with_f_of_one_is_found(f: Callable[[float], float], root: float) -> None:
    tried = search_weight(f)
    assert tried[0] == 1
    assert len(tried) <= 8
    assert len(set(tried)) == len(tried)
    assert abs(1 - f(min(tried, key=lambda weight: abs(1 - f(weight))))) < 0.005
    assert min(tried, key=lambda weight: abs(1 - f(weight))) == pytest.approx(root, rel=0.05)


@pytest.mark.parametrize("f", [0.4, 1.7])
def test_a_weight_that_changes_nothing_ends_the_search(f: float) -> None:
    assert len(search_weight(lambda _weight: f)) == 5


def test_a_balanced_circuit_is_nearer_to_the_model() -> None:
    model, pairs = circuit_model(), random_pairs(8)
    lost = run_circuit(model, pairs, model.graph.all_edges) - run_circuit(
        model, pairs, ~model.graph.all_edges
    )
    helped = pairs.take(
        (lost > 0).nonzero()[:, 0].tolist()
    )  # clean prompts call for the answer, as tasks' do
    faithfulness, scores = faithfulness_of(model, helped), attribute(model, helped, 4).edge_scores()

    def f(weight: float) -> float:
        return faithfulness(top_edges(model.graph, weight_opposing(scores, weight), 60))

    assert has_both_signs(scores)
    assert min(abs(1 - f(weight)) for weight in search_weight(f)) < abs(1 - f(1.0)) / 2
