"""Does discovery find circuits that are known? Edge AUROC of every scoring method on compiled
programs.

1. Each program is compiled at each difficulty: rotated, with distractors and noise edges
   (`bench/known_circuits`).
2. A method scores all edges from discovery pairs. AUROC: the chance that a true edge scores higher
   than a false one, ties counting half, so that a method which gives 0 to everything has 0.5.
3. The circuit of as many edges as the truth has is held against other pairs: its faithfulness f,
   and the share of its edges that are true.
4. Seconds are CPU seconds of the process.
5. Each result is kept as it is made (`stored`): a bench that was stopped goes on there.

A seed gives the weights' draws and both sets of pairs. Methods were chosen on seed 0; others are
for reporting.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from ..tools.circuits.discovery import faithfulness_of, top_edges
from ..tools.circuits.methods import score_edges
from ..tools.circuits.prompts import PromptPairs
from .known_circuits import CODE
from .known_circuits.compile import compile_program
from .known_circuits.compiled import Compiled
from .known_circuits.pairs import pairs_of
from .planted_truth import auroc
from .result_cache import ResultCache, code_digest

PAIRS = 32
HELD_OUT = 1_000_000
"""Added to the seed of the pairs on which faithfulness is measured."""


class DiscoveryResult(NamedTuple):
    """What a method makes of one circuit.

    Attributes:
        f: faithfulness, on held-out pairs, of its circuit of as many edges as the truth has.
        precision: share of that circuit's edges that are true.
    """

    auroc: float | None
    f: float
    precision: float
    seconds: float


class CircuitRow(NamedTuple):
    """One compiled circuit under all methods."""

    circuit: str
    program: str
    difficulty: str
    seed: int
    edges: int
    true_edges: int
    noise_edges: int
    loudness: float
    methods: dict[str, DiscoveryResult]

    def as_dict(self) -> dict[str, Any]:
        """For a JSON line."""
        return {
            **self._asdict(),
            "methods": {name: found._asdict() for name, found in self.methods.items()},
        }


def bench_circuits(
    programs: Sequence[str],
    difficulties: Sequence[str],
    methods: Sequence[str],
    seed: int = 0,
    stored: ResultCache | None = None,
) -> Iterator[CircuitRow]:
    """One row a circuit, easiest first; what is stored is not made again."""
    stored = stored or ResultCache("circuits", code_digest(*CODE))
    for difficulty in difficulties:
        for name in programs:
            circuit = _Circuit(name, difficulty, seed)
            facts = stored.or_make(circuit.facts, *circuit)
            found = {
                method: stored.or_make(partial(circuit.found, method), *circuit, method)
                for method in methods
            }
            yield CircuitRow(
                f"{name}/{difficulty}/{seed}",
                *circuit,
                **facts,
                methods={method: DiscoveryResult(**values) for method, values in found.items()},
            )


class _ProgramNames(NamedTuple):
    program: str
    difficulty: str
    seed: int


class _Circuit(_ProgramNames):
    """A compiled circuit, compiled when something about it is not known yet."""

    @cached_property
    def compiled(self) -> Compiled:
        return compile_program(*self)

    @cached_property
    def pairs(self) -> tuple[PromptPairs, PromptPairs]:
        """Discovery and held-out pairs."""
        program = self.compiled.program
        return pairs_of(program, PAIRS, self.seed), pairs_of(program, PAIRS, self.seed + HELD_OUT)

    def facts(self) -> dict[str, Any]:
        compiled = self.compiled
        return {
            "edges": compiled.model.graph.n_edges,
            "true_edges": int(compiled.truth.sum()),
            "noise_edges": int(compiled.noisy.sum()),
            "loudness": compiled.loudness,
        }

    def found(self, method: str) -> dict[str, Any]:
        model, truth = self.compiled.model, self.compiled.truth
        discovery, held_out = self.pairs
        started = time.process_time()
        scores = score_edges(method, model, discovery).cpu()
        seconds = time.process_time() - started
        circuit = top_edges(model.graph, scores, int(truth.sum()))
        return DiscoveryResult(
            auroc(scores[truth].numpy(), scores[model.graph.all_edges & ~truth].numpy()),
            faithfulness_of(model, held_out)(circuit),
            float((circuit & truth).sum() / truth.sum()),
            seconds,
        )._asdict()


def summary(rows: Sequence[CircuitRow]) -> dict[str, Any]:
    """The contract's summary: mean AUROC by method, by difficulty and method, and the best method's."""
    difficulties = list(dict.fromkeys(row.difficulty for row in rows))
    by_method = means(rows, "auroc")
    return {
        "auroc_best": max(by_method.values(), default=None),
        "by_method": by_method,
        "by_difficulty": {
            difficulty: means([row for row in rows if row.difficulty == difficulty], "auroc")
            for difficulty in difficulties
        },
    }


def means(rows: Sequence[CircuitRow], figure: str) -> dict[str, float]:
    """The mean of one figure over circuits, by method."""
    methods = list(dict.fromkeys(name for row in rows for name in row.methods))
    return {
        name: float(np.mean([getattr(row.methods[name], figure) for row in rows]))
        for name in methods
    }
