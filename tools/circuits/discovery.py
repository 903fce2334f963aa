"""Circuits from scores or from ablation runs; everything here sees discovery prompts only.

`top_edges` (EAP, EAP-IG): grow from the logits back, taking at each step the best edge by |score|
into a node that is already in, so that every edge leads to the logits. `smallest_faithful`: the
smallest such circuit that keeps f on the discovery prompts (bisection over sizes). `random_edges`:
a connected circuit of equal size. Greedy pruning is in `pruning`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from .ablation import Ablation, run_circuit
from .circuit_model import CircuitModel
from .graph import Graph, Mask, Node
from .prompts import PromptPairs


def top_edges(graph: Graph, scores: Float[Tensor, "source target"], n: int) -> Mask:
    """Build a connected circuit of at most n edges, the largest |score| first.

    Raises:
        UsageError: n out of range, or scores that are not finite.
    """
    if not 0 < n <= graph.n_edges:
        raise UsageError(
            f"a circuit of {n} edges given; expected at least 1, and the model has {graph.n_edges}"
        )
    if not scores.isfinite().all():
        raise UsageError("scores that are not finite given; edges cannot be ranked by them")
    size = scores.abs().cpu().double()
    targets_of = _targets_by_node(graph)
    mask = torch.zeros_like(graph.all_edges)
    reached, opened = set[Node](), set[int]()
    queue: list[tuple[float, int, int]] = []  # -size, source, target

    def reach(node: Node) -> None:
        reached.add(node)
        # A key-value head feeds several heads; the first one reached opens its edges.
        new = [target for target in targets_of[node] if target not in opened]
        opened.update(new)
        for target in new:
            for source in range(graph.n_sources_before(graph.targets[target])):
                heapq.heappush(queue, (-float(size[source, target]), source, target))

    reach(Node("logits"))
    for _ in range(n):
        if not queue:
            break
        _, source, target = heapq.heappop(queue)
        mask[source, target] = True
        node = graph.sources[source]
        if node.kind != "input" and node not in reached:
            reach(node)
    return mask


def smallest_faithful(
    graph: Graph, scores: Float[Tensor, "source target"], f: Callable[[Mask], float], minimum: float
) -> Mask:
    """The smallest circuit of `top_edges` whose f is at least `minimum`, by bisection to 2 % of all edges."""
    low, high = 0, graph.n_edges
    while high - low > max(1, high // 50):
        middle = (low + high) // 2
        if f(top_edges(graph, scores, middle)) >= minimum:
            high = middle
        else:
            low = middle
    return top_edges(graph, scores, high)


def node_scores(scores: Float[Tensor, "source target"]) -> Float[Tensor, " source"]:
    """Each source's attribution: the sum of its edges'."""
    return scores.sum(1)


def node_level_circuit(graph: Graph, nodes: Collection[Node]) -> Mask:
    """All edges between these nodes, the input and the logits."""
    inside = {*nodes, Node("input"), Node("logits")}
    is_source = torch.tensor([node in inside for node in graph.sources])
    targets_of = _targets_by_node(graph)
    fed = {target for node in inside for target in targets_of.get(node, [])}
    is_target = torch.tensor([index in fed for index in range(len(graph.targets))])
    return graph.all_edges & is_source[:, None] & is_target[None]


def random_circuit(graph: Graph, n: int, seed: int = 0) -> Mask:
    """A connected circuit of n edges: `top_edges` of random scores."""
    generator = torch.Generator().manual_seed(seed)
    return top_edges(graph, torch.rand(graph.all_edges.shape, generator=generator), n)


def faithfulness_of(
    model: CircuitModel, pairs: PromptPairs, ablation: Ablation = "resample"
) -> Callable[[Mask], float]:
    """f of any mask on these prompts; the whole model and the empty circuit are run once.

    Raises:
        UsageError: the two do not differ, so that there is nothing to be faithful to.
    """

    def mean_metric(mask: Mask) -> float:
        return float(run_circuit(model, pairs, mask, ablation).mean())

    nothing = mean_metric(torch.zeros_like(model.graph.all_edges))
    whole = mean_metric(model.graph.all_edges) - nothing
    if whole == 0:
        raise UsageError(
            "the subject's metric is the same with every edge ablated; these prompts have no circuit"
        )
    return lambda mask: (mean_metric(mask) - nothing) / whole


def _targets_by_node(graph: Graph) -> dict[Node, list[int]]:
    """Targets by the node they feed; a key-value head feeds every query head of its group."""
    targets: dict[Node, list[int]] = {Node("input"): []}
    for index, (node, read) in enumerate(graph.targets):
        fed = [node]
        if read in ("k", "v"):
            first = node.head * graph.heads_per_kv
            fed = [Node("head", node.layer, first + i) for i in range(graph.heads_per_kv)]
        for each in fed:
            targets.setdefault(each, []).append(index)
    return targets
