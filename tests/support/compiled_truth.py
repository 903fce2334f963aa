"""Checks that what the compiler calls the true edges of a program are the edges its model depends on.

1. A true edge has a witness: a state and a pair in which moving this edge alone from clean to twin
   changes or unsettles the answer. States tried: all others clean, all others twin, and random ones.
2. False edges: in random states of the true edges, moving any random set of false ones never
   changes an answer.
3. With the true edges clean and all others twin, every answer is the clean one; the other way
   round, the twin's.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from hubel.bench.known_circuits.check_truth import (
    CutAnswers,
    answers_changed_by_false_edges,
    best_tokens,
)
from hubel.bench.known_circuits.compiled import Compiled
from hubel.tools.circuits.graph import Edge
from hubel.tools.circuits.prompts import PromptPairs

CLEAN_SHARE = 0.75
"""Share of edges that stay clean in a random state: enough that most ways through the model are whole."""


class TruthViolations(NamedTuple):
    """What contradicts the truth; all empty or 0 when it holds.

    Attributes:
        without_witness: true edges that no state shows to matter.
        changed_by_false: pairs and states whose answer changed when false edges moved.
        not_sufficient: pairs whose answer is not the clean one with the true edges alone.
        not_necessary: pairs whose answer is not the twin's without the true edges.
    """

    without_witness: list[Edge]
    changed_by_false: int
    not_sufficient: int
    not_necessary: int


def truth_violations(
    compiled: Compiled, pairs: PromptPairs, states: int = 40, seed: int = 0
) -> TruthViolations:
    """Test a compiled program's truth on its model."""
    generator = torch.Generator().manual_seed(seed)
    truth, possible = compiled.truth, compiled.model.graph.all_edges
    alone = best_tokens(compiled, pairs, truth)
    without = best_tokens(compiled, pairs, possible & ~truth)
    return TruthViolations(
        _without_witness(compiled, pairs, states, generator),
        answers_changed_by_false_edges(compiled, pairs, states, generator),
        int((alone != pairs.answer[:, 0]).sum()),
        int((without != pairs.foil[:, 0]).sum()),
    )


def _without_witness(
    compiled: Compiled, pairs: PromptPairs, states: int, generator: torch.Generator
) -> list[Edge]:
    graph, answers = compiled.model.graph, CutAnswers(compiled.model, pairs)
    left = graph.edges_of(compiled.truth)
    for state in range(states):
        clean = graph.all_edges & (
            torch.rand(graph.all_edges.shape, generator=generator) < CLEAN_SHARE
        )
        clean = graph.all_edges if state == 0 else torch.zeros_like(clean) if state == 1 else clean
        before = answers(clean)
        left = [
            edge for edge in left if not (before != answers(clean ^ graph.mask_of([edge]))).any()
        ]
        if not left:
            break
    return left
