"""What heads look at and what they write, prompt by prompt: the observations that roles are named
from.

- attention: the pattern of a head, summed over the positions that a mark stands for. END is the
  last position; `previous`, `duplicate` and `induction` are those of `attention`.
- direct: what a head or MLP adds to the logit difference by itself, with the final norm's scale as
  it is. These add up to the logit difference over all sources.
- copies: how far the value that a head writes about the position it attends to most from END raises
  that very token, in standard deviations over the vocabulary.

The pattern is read in a pass with eager attention, the only kind that gives it out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .attention import eager_attention, head_kinds
from .circuit_model import CircuitModel
from .forward_record import record
from .graph import Node
from .prompts import PADDING, PromptPairs

END = "END"
SHOWN = 5
"""Tokens that a write promotes, as they are shown."""
Positions = Mapping[str, Sequence[Sequence[int]]]
"""A mark's positions in each pair."""


@dataclass(frozen=True)
class HeadObservation:
    """What one head or MLP does on each pair.

    Attributes:
        attention: "END>IO" and the like, and `previous`, `duplicate`, `induction` where each pair has a query of the
            kind; empty for an MLP.
        direct: logit difference that it adds by itself.
        copies: empty for an MLP.
        pattern: attention of the first pair.
        writes: tokens that its mean write at the last position promotes most, with the logits that it adds.
    """

    attention: dict[str, list[float]]
    direct: list[float]
    copies: list[float]
    pattern: list[list[float]]
    writes: list[tuple[str, float]]


class HeadObserver:
    """One pass over a batch of pairs, then a look at any head or MLP."""

    def __init__(self, model: CircuitModel, pairs: PromptPairs, marks: Positions) -> None:
        self.model, self.pairs = model, pairs
        self.marks = {**marks, END: [[pairs.n_tokens - 1]] * len(pairs)}
        self.patterns: list[Tensor] = []
        with eager_attention(model.subject), _patterns(model, self.patterns):
            self.at = record(model, pairs.clean, pairs.logit_difference)

    def observe(self, node: Node) -> HeadObservation:
        """At a head or an MLP."""
        if node.kind == "mlp":
            written = self.at.mlp[node.layer][:, -1]
            return HeadObservation({}, self.direct(written), [], [], self._promoted(written))
        pattern = self.patterns[node.layer][:, node.head].float()
        written = self.model.head_writes(node.layer, self.at.z[node.layer][:, -1])[node.head]
        shown = [[round(value, 4) for value in row] for row in pattern[0].tolist()]
        attention, copies = self._attention(pattern), self._copies(node, pattern)
        return HeadObservation(
            attention, self.direct(written), copies, shown, self._promoted(written)
        )

    def _attention(self, pattern: Float[Tensor, "pairs query key"]) -> dict[str, list[float]]:
        found = {
            f"{query}>{key}": [
                float(pattern[row][list(queries[row])][:, list(keys[row])].sum(1).mean())
                for row in range(len(pattern))
            ]
            for query, queries in self.marks.items()
            for key, keys in self.marks.items()
            if key != END and all(min(k) < max(q) for q, k in zip(queries, keys, strict=True))
        }
        return found | {
            kind: _mean_attention(pattern, keys.to(pattern.device))
            for kind, keys in head_kinds(self.pairs.clean).items()
            if keys.any(-1).any(-1).all()
        }

    def direct(self, written: Float[Tensor, "pairs d_model"]) -> list[float]:
        """What a vector at the last position of each pair adds to its logit difference."""
        return self.pairs.logit_difference(self._scaled_logits(written)).tolist()

    def _scaled_logits(
        self, written: Float[Tensor, "pairs d_model"]
    ) -> Float[Tensor, "pairs vocab"]:
        last = self.at.stream[self.model.graph.n_layers][:, -1]
        if self.model.subject.architecture.norm == "layer":
            last = last - last.mean(-1, keepdim=True)
        norm: Any = self.model.subject.parts.final_norm
        epsilon = getattr(norm, "variance_epsilon", getattr(norm, "eps", 1e-6))
        scale = last.pow(2).mean(-1, keepdim=True).add(epsilon).sqrt()
        return self.model.subject.logits_of(written / scale)

    def _promoted(self, written: Float[Tensor, "pairs d_model"]) -> list[tuple[str, float]]:
        added = self._scaled_logits(written).mean(0).float()
        added, strings = added - added.mean(), self.model.subject.token_strings()
        return [
            (strings[at], round(float(added[at]), 4)) for at in added.topk(SHOWN).indices.tolist()
        ]

    def _copies(self, node: Node, pattern: Float[Tensor, "pairs query key"]) -> list[float]:
        graph = self.model.graph
        group = graph.n_heads // graph.n_kv_heads
        slot = self.model.qkv_slices[graph.n_heads + graph.n_kv_heads + node.head // group]
        values = self.at.projected[node.layer, slot.module][..., slot.rows]
        row, best = torch.arange(len(pattern)), pattern[:, -1, 1:].argmax(1) + 1
        written = values[row, best] @ self.model.subject.head_matrices(node.layer)[node.head].T
        logits = self.model.subject.logits_of(written).float()
        own = logits[row, self.pairs.clean.to(best.device)[row, best]]
        return ((own - logits.mean(1)) / logits.std(1)).tolist()


def _mean_attention(
    pattern: Float[Tensor, "pairs query key"], keys: Bool[Tensor, "pairs query key"]
) -> list[float]:
    """What queries that have such keys give to them, the mean by pair."""
    return ((pattern * keys).sum((1, 2)) / keys.any(-1).sum(1)).tolist()


def positions_of(
    pairs: PromptPairs, marks: Mapping[str, Sequence[int]]
) -> dict[str, list[list[int]]]:
    """A task's marks, and those that any task has: what differs from the twin, and earlier answers and foils."""
    found: dict[str, list[list[int]]] = {
        name: [[at] for at in places] for name, places in marks.items()
    }
    differs = pairs.clean != pairs.corrupted
    automatic = {"changed": [row.nonzero()[:, 0].tolist() for row in differs]}
    for name, ids in (("answer", pairs.answer), ("foil", pairs.foil)):
        hits = (pairs.clean[:, :, None] == ids[:, None, :]) & (ids != PADDING)[:, None, :]
        automatic[name] = [row.any(1).nonzero()[:, 0].tolist() for row in hits]
    for name, places in automatic.items():
        if all(places) and places not in found.values():
            found[name] = places
    return found


@contextmanager
def _patterns(model: CircuitModel, found: list[Tensor]) -> Iterator[None]:
    """Keep each layer's attention pattern, which an attention module gives out behind its write."""
    handles = [
        parts.attention_write.register_forward_hook(
            lambda _module, _args, output: found.append(output[1])
        )
        for parts in model.subject.parts.layers
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
