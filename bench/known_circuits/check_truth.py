"""Do false edges matter? The truth of a compiled program, tested on the model itself.

The answer to a pair is a function of which edges carry the clean prompt and which its twin. An edge
is true when the answer depends on it: in some such state, moving this edge alone from clean to twin
changes or unsettles the answer. (One patch in the clean run is not enough: where three heads vote,
no single patch changes anything.)

An answer is unsettled when the best two logits are closer than `CLEAR`. A mixture of two prompts
may well be a tie, which any noise breaks, so that states which are unsettled in the model without
noise are not held against false edges.

`compile` uses this to find how loud noise may be; the tests check every program's truth with it.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ...tools.circuits.ablation import ablated_writes, circuit_logits
from ...tools.circuits.circuit_model import CircuitModel
from ...tools.circuits.prompts import PromptPairs
from .compiled import Compiled
from .weights import LOGIT

CLEAR = LOGIT / 2
UNSETTLED = -1


def best_tokens(
    compiled: Compiled, pairs: PromptPairs, clean: Bool[Tensor, "source target"]
) -> Int[Tensor, " pairs"]:
    """The model's answers when some edges carry the clean prompts, all others their twins."""
    return circuit_logits(compiled.model, pairs, clean).argmax(1)


class CutAnswers:
    """Like `best_tokens`, with `UNSETTLED` where an answer is not clear; keeps the twins' pass."""

    def __init__(self, model: CircuitModel, pairs: PromptPairs) -> None:
        self._model, self._pairs, self._twins = model, pairs, ablated_writes(model, pairs)

    def __call__(self, clean: Bool[Tensor, "source target"]) -> Int[Tensor, " pairs"]:
        best = circuit_logits(self._model, self._pairs, clean, ablated=self._twins).topk(2)
        settled = best.values[:, 0] - best.values[:, 1] > CLEAR
        return torch.where(settled, best.indices[:, 0], UNSETTLED)


def false_edges_matter(compiled: Compiled, pairs: PromptPairs, states: int = 6) -> bool:
    """Whether moving false edges changes an answer, in the clean run or in a few random states."""
    if bool((best_tokens(compiled, pairs, compiled.truth) != pairs.answer[:, 0]).any()):
        return True
    return (
        answers_changed_by_false_edges(compiled, pairs, states, torch.Generator().manual_seed(0))
        > 0
    )


def answers_changed_by_false_edges(
    compiled: Compiled, pairs: PromptPairs, states: int, generator: torch.Generator
) -> int:
    """Pairs and random states of the true edges in which moving random false edges changes the answer."""
    possible, changed = compiled.model.graph.all_edges, 0
    answers, plain = CutAnswers(compiled.model, pairs), CutAnswers(compiled.plain, pairs)
    false = possible & ~compiled.truth
    for _ in range(states):
        true_subset, false_subset = (
            torch.rand(possible.shape, generator=generator) < 0.5 for _ in range(2)
        )
        true = compiled.truth & true_subset
        before, after = answers(true | false), answers(true | (false & false_subset))
        # a mixture may be a tie even without noise; only what is settled there counts
        settled = (before != UNSETTLED) & (after != UNSETTLED) & (plain(true | false) != UNSETTLED)
        changed += int(((before != after) & settled).sum())
    return changed
