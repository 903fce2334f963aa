"""Where heads attend and what they write, prompt by prompt: the observations behind named roles.

- attention: the pattern of a head, summed over the positions of a mark. END is the last position;
  `previous`, `duplicate` and `induction` are those of `attention`.
- direct: what a head or MLP adds to the logit difference by itself, with the final norm's scale
  held fixed. Over all sources these add up to the logit difference.
- copies: how far the value that a head writes about the position it attends to most from END raises
  that very token, in standard deviations over the vocabulary.

Patterns come from a pass with eager attention, the only implementation that returns them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..subject.attention import eager_attention
from .attention import head_kinds
from .circuit_model import CircuitModel
from .forward_record import record
from .graph import Node
from .prompts import PADDING, PromptPairs

END = "END"
SHOWN_TOKENS = 5
"""Number of promoted tokens to list for a write."""
Positions = Mapping[str, Sequence[Sequence[int]]]
"""A mark's positions in each pair."""


@dataclass(frozen=True)
class HeadObservation:
    """What one head or MLP does on each pair.

    Attributes:
        attention: by link, such as "END>IO", and of kind `previous`, `duplicate` or `induction`
            where each pair has a query of the kind; empty for an MLP.
        direct: what it adds to the logit difference by itself.
        copies: standard deviations by which it raises the token it attends to; empty for an MLP.
        pattern: attention pattern on the first pair.
        writes: tokens that its mean write at the last position promotes most, with their logits.
    """

    attention: dict[str, list[float]]
    direct: list[float]
    copies: list[float]
    pattern: list[list[float]]
    writes: list[tuple[str, float]]


class HeadObserver:
    """Observes heads and MLPs on a batch of pairs, which takes one pass for all of them."""

    def __init__(self, model: CircuitModel, pairs: PromptPairs, marks: Positions) -> None:
        self.model, self.pairs = model, pairs
        self.marks = {**marks, END: [[pairs.n_tokens - 1]] * len(pairs)}
        self.patterns: list[Tensor] = []  # of each layer: pairs head query key
        with eager_attention(model.subject), _keep_patterns(model, self.patterns):
            self.values = record(model, pairs.clean, pairs.logit_difference)

    def observe(self, node: Node) -> HeadObservation:
        """Observe a head or an MLP."""
        if node.kind == "mlp":
            written = self.values.mlp[node.layer][:, -1]
            return HeadObservation({}, self.direct(written), [], [], self._promoted(written))
        pattern = self.patterns[node.layer][:, node.head].float()
        z = self.values.z[node.layer][:, -1]
        written = self.model.head_writes(node.layer, z)[node.head]
        first_pattern = [[round(value, 4) for value in row] for row in pattern[0].tolist()]
        return HeadObservation(
            self._attention(pattern),
            self.direct(written),
            self._copies(node, pattern),
            first_pattern,
            self._promoted(written),
        )

    def _attention(self, pattern: Float[Tensor, "pairs query key"]) -> dict[str, list[float]]:
        attention: dict[str, list[float]] = {}
        for query, queries in self.marks.items():
            for key, keys in self.marks.items():
                positions = list(zip(queries, keys, strict=True))
                # A causal head could never look from there to there on every pair.
                if key == END or any(min(k) >= max(q) for q, k in positions):
                    continue
                attention[f"{query}>{key}"] = [
                    float(pattern[row][list(q)][:, list(k)].sum(1).mean())
                    for row, (q, k) in enumerate(positions)
                ]
        for kind, keys in head_kinds(self.pairs.clean).items():
            if keys.any(-1).any(-1).all():  # each pair has a query of the kind
                attention[kind] = _mean_attention(pattern, keys.to(pattern.device))
        return attention

    def direct(self, written: Float[Tensor, "pairs d_model"]) -> list[float]:
        """What a vector at the last position of each pair adds to its logit difference."""
        return self.pairs.logit_difference(self._scaled_logits(written)).tolist()

    def _scaled_logits(
        self, written: Float[Tensor, "pairs d_model"]
    ) -> Float[Tensor, "pairs vocab"]:
        """Logits of a vector under the final norm's scale on these prompts."""
        last = self.values.stream[self.model.graph.n_layers][:, -1]
        if self.model.subject.architecture.norm == "layer":
            last = last - last.mean(-1, keepdim=True)
        norm: Any = self.model.subject.parts.final_norm
        epsilon = getattr(norm, "variance_epsilon", getattr(norm, "eps", 1e-6))
        scale = last.pow(2).mean(-1, keepdim=True).add(epsilon).sqrt()
        return self.model.subject.logits_of(written / scale)

    def _promoted(self, written: Float[Tensor, "pairs d_model"]) -> list[tuple[str, float]]:
        logits = self._scaled_logits(written).mean(0).float()
        logits = logits - logits.mean()
        strings = self.model.subject.token_strings()
        best = logits.topk(SHOWN_TOKENS).indices.tolist()
        return [(strings[token], round(float(logits[token]), 4)) for token in best]

    def _copies(self, node: Node, pattern: Float[Tensor, "pairs query key"]) -> list[float]:
        module, rows = self.model.value_slice(node.head)
        values = self.values.projected[node.layer, module][..., rows]
        pair = torch.arange(len(pattern))
        best = pattern[:, -1, 1:].argmax(1) + 1  # not position 0, where idle heads attend
        written = values[pair, best] @ self.model.subject.head_matrices(node.layer)[node.head].T
        logits = self.model.subject.logits_of(written).float()
        own = logits[pair, self.pairs.clean.to(best.device)[pair, best]]
        return ((own - logits.mean(1)) / logits.std(1)).tolist()


def _mean_attention(
    pattern: Float[Tensor, "pairs query key"], keys: Bool[Tensor, "pairs query key"]
) -> list[float]:
    """Attention to these keys, the mean over a pair's queries that have one."""
    return ((pattern * keys).sum((1, 2)) / keys.any(-1).sum(1)).tolist()


def positions_of(
    pairs: PromptPairs, marks: Mapping[str, Sequence[int]]
) -> dict[str, list[list[int]]]:
    """Positions of the task's marks, of tokens that differ from the twin, and of answers and foils."""
    positions = {name: [[position] for position in by_pair] for name, by_pair in marks.items()}
    differs = pairs.clean != pairs.corrupted
    automatic = {"changed": [row.nonzero()[:, 0].tolist() for row in differs]}
    for name, ids in (("answer", pairs.answer), ("foil", pairs.foil)):
        hits = (pairs.clean[:, :, None] == ids[:, None, :]) & (ids != PADDING)[:, None, :]
        automatic[name] = [row.any(1).nonzero()[:, 0].tolist() for row in hits]
    for name, by_pair in automatic.items():
        # Only if every pair has it, and no mark of the task has the same positions.
        if all(by_pair) and by_pair not in positions.values():
            positions[name] = by_pair
    return positions


@contextmanager
def _keep_patterns(model: CircuitModel, patterns: list[Tensor]) -> Iterator[None]:
    """Keep each layer's attention pattern, which the attention module returns after its write."""
    with ExitStack() as stack:
        for parts in model.subject.parts.layers:
            handle = parts.attention_write.register_forward_hook(
                lambda _module, _args, output: patterns.append(output[1])
            )
            stack.callback(handle.remove)
        yield
