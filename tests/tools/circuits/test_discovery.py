"""Discovery: circuits are connected, of the size asked for, and keep what they are to keep."""

import pytest
import torch

from hubel.tools.circuits.attribution import attribute
from hubel.tools.circuits.discovery import (
    faithfulness_of,
    node_level_circuit,
    random_circuit,
    smallest_faithful,
    top_edges,
)
from hubel.tools.circuits.graph import Graph, Node
from hubel.tools.errors import UsageError

from .conftest import circuit_model, random_pairs


@pytest.mark.parametrize("n", [1, 7, 60, 190])
def test_every_edge_of_a_circuit_leads_to_the_logits(n: int) -> None:
    graph = Graph(3, 4, 2)
    mask = random_circuit(graph, n)
    assert int(mask.sum()) == n
    edges = graph.edges_of(mask)
    writers = {edge.source for edge in edges}
    for edge in edges:
        group = (
            range(edge.target.head * 2, edge.target.head * 2 + 2)
            if edge.input in ("k", "v")
            else None
        )
        fed = {Node("head", edge.target.layer, head) for head in group} if group else {edge.target}
        assert edge.target.kind == "logits" or fed & writers


def test_the_best_edge_comes_first() -> None:
    graph = Graph(2, 2, 1)
    scores = torch.zeros(graph.all_edges.shape)
    scores[4, -1], scores[0, -1] = -3, 1  # signs do not matter
    assert [str(edge) for edge in graph.edges_of(top_edges(graph, scores, 1))] == [
        "head.1.0->logits<logits>"
    ]


@pytest.mark.parametrize("n", [0, 191])
def test_a_size_out_of_range_is_refused(n: int) -> None:
    graph = Graph(3, 4, 2)
    with pytest.raises(UsageError, match="the model has 190"):
        top_edges(graph, torch.zeros(graph.all_edges.shape), n)


def test_scores_that_are_not_finite_are_refused() -> None:
    graph = Graph(3, 4, 2)
    with pytest.raises(UsageError, match="not finite"):
        top_edges(graph, torch.full(graph.all_edges.shape, float("nan")), 3)


def test_f_is_one_for_the_model_and_nothing_for_no_edge() -> None:
    model, pairs = circuit_model(), random_pairs()
    f = faithfulness_of(model, pairs)
    assert f(model.graph.all_edges) == pytest.approx(1)
    assert f(torch.zeros_like(model.graph.all_edges)) == pytest.approx(0)


def test_a_task_without_an_effect_has_no_circuit() -> None:
    model, pairs = circuit_model(), random_pairs()
    pairs.corrupted.copy_(pairs.clean)
    with pytest.raises(UsageError, match="no circuit"):
        faithfulness_of(model, pairs)


def test_the_smallest_faithful_circuit_is_faithful() -> None:
    model, pairs = circuit_model(), random_pairs()
    scores = attribute(model, pairs, steps=4).edge_scores()
    f = faithfulness_of(model, pairs)
    mask = smallest_faithful(model.graph, scores, f, minimum=0.8)
    assert f(mask) >= 0.8
    assert mask.sum() <= model.graph.n_edges


def test_a_circuit_of_nodes_has_all_edges_among_them() -> None:
    graph = Graph(2, 2, 1)
    edges = {str(edge) for edge in graph.edges_of(node_level_circuit(graph, [Node("head", 1, 0)]))}
    assert edges == {f"input->head.1.0<{reads}>" for reads in "qkv"} | {
        "input->logits<logits>",
        "head.1.0->logits<logits>",
    }
    every = [node for node in graph.sources if node.kind != "input"]
    assert torch.equal(node_level_circuit(graph, every), graph.all_edges)
