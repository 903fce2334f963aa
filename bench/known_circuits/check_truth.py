"""Is the truth true? What the compiler calls an edge of the program, held against the model itself.

The answer of a pair is a function of which edges carry the clean prompt and which its twin. An edge
is true when the answer depends on it: in some such state, moving this edge alone from clean to twin
changes or unsettles the answer. (One patch in the clean run is not enough to ask: where three heads
vote, no single patch changes anything.)

1. A true edge: a state and a pair in which moving it does so (a witness). States tried: all others
   clean, all others twin, and random ones.
2. False edges: in random states of the true edges, moving any random set of false ones never
   changes an answer.
3. With the true edges clean and all others twin, every answer is the clean one; the other way
   round, the twin's.

An answer is unsettled when the best two logits are closer than `CLEAR`. A mixture of two prompts
may well be a tie, which any noise breaks, so that states which are unsettled in the model without
noise are not held against false edges.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ...tools.circuits.ablation import ablated_writes, circuit_logits
from ...tools.circuits.circuit_model import CircuitModel
from ...tools.circuits.graph import Edge
from ...tools.circuits.prompts import PromptPairs
from .compiled import Compiled
from .weights import LOGIT

CLEAR = LOGIT / 2
UNCLEAR = -1
KEPT = 0.75
"""Share of edges that stay clean in a random state: enough that most ways through the model are whole."""


class Findings(NamedTuple):
    """What does not fit; all empty or 0 when the truth is true.

    Attributes:
        without_witness: true edges that no state tried shows to matter.
        changed_by_false: pairs and states whose answer changed when false edges moved.
        not_sufficient, not_necessary: pairs whose answer is not the clean one with the true edges alone, or not the
            twin's without them.
    """

    without_witness: list[Edge]
    changed_by_false: int
    not_sufficient: int
    not_necessary: int


def verify_truth(
    compiled: Compiled, pairs: PromptPairs, states: int = 40, seed: int = 0
) -> Findings:
    """Hold a compiled program's truth against its model."""
    generator = torch.Generator().manual_seed(seed)
    truth, possible = compiled.truth, compiled.model.graph.all_edges
    alone, without = (_best(compiled, pairs, clean) for clean in (truth, possible & ~truth))
    return Findings(
        _without_witness(compiled, pairs, states, generator),
        _changed_by_false(compiled, pairs, states, generator),
        int((alone != pairs.answer[:, 0]).sum()),
        int((without != pairs.foil[:, 0]).sum()),
    )


def _best(
    compiled: Compiled, pairs: PromptPairs, clean: Bool[Tensor, "source target"]
) -> Int[Tensor, " pairs"]:
    return circuit_logits(compiled.model, pairs, clean).argmax(1)


class _CutAnswers:
    """Answers when some edges carry the clean prompts and all others their twins."""

    def __init__(self, model: CircuitModel, pairs: PromptPairs) -> None:
        self._model, self._pairs, self._twins = model, pairs, ablated_writes(model, pairs)

    def __call__(self, clean: Bool[Tensor, "source target"]) -> Int[Tensor, " pairs"]:
        best = circuit_logits(self._model, self._pairs, clean, twins=self._twins).topk(2)
        return torch.where(
            best.values[:, 0] - best.values[:, 1] > CLEAR, best.indices[:, 0], UNCLEAR
        )


def false_edges_matter(compiled: Compiled, pairs: PromptPairs, states: int = 6) -> bool:
    """Whether moving false edges changes an answer, in the clean run or in a few states."""
    if bool((_best(compiled, pairs, compiled.truth) != pairs.answer[:, 0]).any()):
        return True
    return _changed_by_false(compiled, pairs, states, torch.Generator().manual_seed(0)) > 0


def _without_witness(
    compiled: Compiled, pairs: PromptPairs, states: int, generator: torch.Generator
) -> list[Edge]:
    graph, answers = compiled.model.graph, _CutAnswers(compiled.model, pairs)
    left = graph.edges_of(compiled.truth)
    for state in range(states):
        clean = graph.all_edges & (torch.rand(graph.all_edges.shape, generator=generator) < KEPT)
        clean = graph.all_edges if state == 0 else torch.zeros_like(clean) if state == 1 else clean
        before = answers(clean)
        left = [
            edge for edge in left if not (before != answers(clean ^ graph.mask_of([edge]))).any()
        ]
        if not left:
            break
    return left


def _changed_by_false(
    compiled: Compiled, pairs: PromptPairs, states: int, generator: torch.Generator
) -> int:
    possible, changed = compiled.model.graph.all_edges, 0
    answers, plain = _CutAnswers(compiled.model, pairs), _CutAnswers(compiled.plain, pairs)
    false = possible & ~compiled.truth
    for _ in range(states):
        some, other = (torch.rand(possible.shape, generator=generator) < 0.5 for _ in range(2))
        kept = compiled.truth & some
        one, two = (answers(kept | rest) for rest in (false, false & other))
        settled = (one != UNCLEAR) & (two != UNCLEAR) & (plain(kept | false) != UNCLEAR)
        changed += int(((one != two) & settled).sum())
    return changed
