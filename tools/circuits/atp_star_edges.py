"""AtP* for edges (after Kramár et al. 2024, who correct nodes): attribution patching with two of
its faults mended.

1. An edge into a query or key: the source's change is added to what that target reads, the layer's
   attention is run again, and the change of z is multiplied with the gradient of z. The softmax
   takes its whole step and not its slope. A head's z depends on its own query alone, and on its own
   key-value head's keys, so that one run does a source's edges into all queries of a layer, and one
   into all its keys.
2. All other edges: the source's change times the gradient at the target, as `attribution` has it.
3. GradDrop: gradients once for each layer with that layer's writes held constant, so that effects
   which cancel along two ways show in at least one of them; the size of the mean over the pairs,
   averaged over these, times L / (L - 1).

The first costs two attention runs a source and layer, the second a backward pass a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from .atp_star import AttentionCalls, dropping
from .attribution import edges_from, source_changes
from .circuit_model import CircuitModel
from .forward_record import Gradients, Recording, differentiate, record
from .hooks import Hooks
from .memory import check_fits
from .prompts import PromptPairs

Edges = Float[Tensor, "pairs source target"]


def attribute_through_softmax(model: CircuitModel, pairs: PromptPairs) -> Edges:
    """Estimated effects of all edges, with the softmax computed anew for those into queries and keys."""
    return _Corrected(model, pairs).edges([None])[0]


def attribute_star(model: CircuitModel, pairs: PromptPairs) -> Float[Tensor, "source target"]:
    """Sizes of the effects of all edges by both corrections.

    Raises:
        UsageError: the model has one layer, whose gradient cannot be dropped.
    """
    n_layers = model.graph.n_layers
    if n_layers < 2:
        raise UsageError(
            "a model of one layer given; GradDrop leaves one layer out and needs two or more"
        )
    found = _Corrected(model, pairs).edges([dropping(model, layer) for layer in range(n_layers)])
    return torch.stack([edges.mean(0).abs() for edges in found]).sum(0) / (n_layers - 1)


class _Corrected:
    def __init__(self, model: CircuitModel, pairs: PromptPairs) -> None:
        check_fits(model, pairs)
        self.model, self.pairs, self.calls = model, pairs, AttentionCalls(model)
        twin = record(model, pairs.corrupted, pairs.logit_difference, writes_only=True)
        self.clean, self.gradients = differentiate(
            model, pairs.clean, pairs.logit_difference, prepare=self.calls.keep
        )
        self.changes = source_changes(model, self.clean, twin)

    def edges(self, drops: Sequence[Callable[[Hooks], None] | None]) -> list[Edges]:
        """All edges, once for each way to take the gradients."""
        found, z_gradients = list[Edges](), list[dict[int, Tensor]]()
        for drop in drops:
            at, gradients = self._differentiated(drop)
            found.append(edges_from(self.model, self.changes, at, gradients))
            z_gradients.append(gradients.z)  # of a pass nothing else is needed any more
        for layer in range(self.model.graph.n_layers):
            stacked = torch.stack([gradients[layer] for gradients in z_gradients])
            self._correct(layer, stacked, found)
        return found

    def _differentiated(self, drop: Callable[[Hooks], None] | None) -> tuple[Recording, Gradients]:
        if drop is None:
            return self.clean, self.gradients
        return differentiate(
            self.model, self.pairs.clean, self.pairs.logit_difference, prepare=drop
        )

    def _correct(
        self, layer: int, gradients: Float[Tensor, "way pairs seq width"], found: list[Edges]
    ) -> None:
        """Overwrite the edges into a layer's queries and keys."""
        graph = self.model.graph
        first, group = graph.first_target(layer), graph.n_heads // graph.n_kv_heads
        queries = slice(first, first + graph.n_heads)
        keys = slice(queries.stop, queries.stop + graph.n_kv_heads)
        for source in range(graph.n_before(graph.targets[first])):
            values = self._projected(layer, self.clean.stream[layer] + self.changes[:, source])
            by_query, by_key = (
                self._by_head(
                    (self.calls.z_with(layer, part, values) - self.clean.z[layer]) * gradients
                )
                for part in ("q", "k")
            )
            by_key = by_key.unflatten(-1, (-1, group)).sum(-1)  # the query heads that share a key
            for edges, query, key in zip(found, by_query, by_key, strict=True):
                edges[:, source, queries], edges[:, source, keys] = query, key

    @torch.no_grad()
    def _projected(
        self, layer: int, stream: Float[Tensor, "pairs seq d_model"]
    ) -> Float[Tensor, "slot pairs seq head_dim"]:
        weights, biases = self.model.projection(layer)
        normed = self.model.joints[layer].attention_norm(stream)
        return torch.einsum("bsd,hkd->hbsk", normed, weights) + biases[:, None, None]

    def _by_head(
        self, value: Float[Tensor, "way pairs seq width"]
    ) -> Float[Tensor, "way pairs head"]:
        return value.unflatten(-1, (self.model.graph.n_heads, -1)).sum((2, 4))
