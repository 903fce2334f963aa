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
    """A connected circuit of at most n edges, the largest |score| first.

    Raises:
        UsageError: n out of range, or scores that are not finite.
    """
    if not 0 < n <= graph.n_edges:
        raise UsageError(f"a circuit of {n} edges asked for; the model has {graph.n_edges}")
    if not scores.isfinite().all():
        raise UsageError("scores that are not finite given; no edge can be ranked by them")
    size = scores.abs().cpu().double()
    readers = _readers(graph)
    mask, reached, opened = torch.zeros_like(graph.all_edges), set[Node](), set[int]()
    queue: list[tuple[float, int, int]] = []

    def reach(node: Node) -> None:
        reached.add(node)
        new = [
            target for target in readers[node] if target not in opened
        ]  # a key-value head feeds several heads
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
        if graph.sources[source].kind != "input" and graph.sources[source] not in reached:
            reach(graph.sources[source])
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
    """Each source's attribution: the sum of its edges', through all of which it acts."""
    return scores.sum(1)


def node_level_circuit(graph: Graph, nodes: Collection[Node]) -> Mask:
    """All edges among some nodes, the input and the logits: the circuit at node level."""
    inside = {*nodes, Node("input"), Node("logits")}
    sources = torch.tensor([node in inside for node in graph.sources])
    readers = _readers(graph)
    fed = {index for node in inside for index in readers.get(node, [])}
    targets = torch.tensor([index in fed for index in range(len(graph.targets))])
    return graph.all_edges & sources[:, None] & targets[None]


def random_circuit(graph: Graph, n: int, seed: int = 0) -> Mask:
    """A circuit of n edges that `top_edges` makes of random scores: equal in size and connected too."""
    return top_edges(
        graph, torch.rand(graph.all_edges.shape, generator=torch.Generator().manual_seed(seed)), n
    )


def faithfulness_of(
    model: CircuitModel, pairs: PromptPairs, ablation: Ablation = "resample"
) -> Callable[[Mask], float]:
    """f of any mask on these prompts; the runs of the whole model and of nothing are made once.

    Raises:
        UsageError: the two do not differ, so that there is nothing to be faithful to.
    """
    nothing = float(
        run_circuit(model, pairs, torch.zeros_like(model.graph.all_edges), ablation).mean()
    )
    whole = float(run_circuit(model, pairs, model.graph.all_edges, ablation).mean()) - nothing
    if whole == 0:
        raise UsageError(
            "the subject's metric is the same with every edge ablated; these prompts have no circuit"
        )
    return lambda mask: (float(run_circuit(model, pairs, mask, ablation).mean()) - nothing) / whole


def _readers(graph: Graph) -> dict[Node, list[int]]:
    """Targets by the node they feed; a key-value head feeds every query head of its group."""
    group = graph.n_heads // graph.n_kv_heads
    readers: dict[Node, list[int]] = {Node("input"): []}
    for index, (node, given) in enumerate(graph.targets):
        heads = range(node.head * group, (node.head + 1) * group)
        fed = [Node("head", node.layer, head) for head in heads] if given in ("k", "v") else [node]
        for each in fed:
            readers.setdefault(each, []).append(index)
    return readers
