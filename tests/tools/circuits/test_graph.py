"""Nodes and edges: counts, order, names."""

import pytest
import torch

from hubel.tools.circuits.graph import Edge, Graph, Node
from hubel.tools.errors import UsageError


def test_the_default_subject_has_70651_edges() -> None:
    graph = Graph(30, 9, 3)
    assert (len(graph.sources), len(graph.targets), graph.n_edges) == (301, 481, 70_651)


@pytest.mark.parametrize("parallel", [False, True])
def test_edges_run_forward_only(parallel: bool) -> None:
    graph = Graph(2, 2, 1, parallel)
    names = {str(edge) for edge in graph.edges_of(graph.all_edges)}
    assert len(names) == graph.n_edges
    assert "head.0.1->head.1.0<k>" in names
    assert "head.1.0->head.1.1<q>" not in names
    assert "mlp.0->mlp.0<mlp>" not in names
    assert ("head.0.0->mlp.0<mlp>" in names) is not parallel


def test_names_and_masks_are_each_others_inverse() -> None:
    graph = Graph(3, 4, 2)
    edges = graph.edges_of(graph.all_edges)
    assert [Edge.parse(str(edge)) for edge in edges] == edges
    assert torch.equal(graph.mask_of(edges), graph.all_edges)


def test_an_edge_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(UsageError, match="no such edge"):
        Graph(2, 2, 1).mask_of([Edge(Node("mlp", 1), Node("mlp", 0), "mlp")])
    with pytest.raises(UsageError, match="not an edge"):
        Edge.parse("mlp.1")
