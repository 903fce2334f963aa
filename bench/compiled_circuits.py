"""Does discovery find circuits that are known? Edge AUROC of every scoring method on compiled
programs.

1. Each program is compiled at each difficulty: rotated, with distractors and noise edges
   (`bench/known_circuits`).
2. A method scores all edges from discovery pairs. AUROC is the chance that a true edge scores
   higher than a false one. Ties count half, so that a method which gives 0 to everything has 0.5.
3. The circuit of as many edges as the truth has is tested on other pairs: its faithfulness f, and
   the share of its edges that are true.
4. Seconds are CPU seconds of the process.
5. Each result is cached as it is made (`result_cache`), so that a stopped bench continues there.

A seed determines the draw of the weights and both sets of pairs. Methods were chosen on seed 0;
other seeds are for reporting.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

from ..tools.circuits.discovery import faithfulness_of, top_edges
from ..tools.circuits.methods import score_edges
from ..tools.circuits.prompts import PromptPairs
from ..tools.files.code_digest import code_digest
from .known_circuits import CODE
from .known_circuits.compile import compile_program
from .known_circuits.compiled import Compiled
from .known_circuits.pairs import pairs_of
from .planted_truth import auroc
from .result_cache import ResultCache, means, row_to_dict

PAIRS = 32
HELD_OUT = 1_000_000
"""Added to the seed of the pairs on which faithfulness is measured."""


class DiscoveryResult(NamedTuple):
    """How well a method finds one circuit.

    Attributes:
        f: faithfulness, on held-out pairs, of its circuit of as many edges as the truth has.
        precision: share of that circuit's edges that are true.
        seconds: CPU seconds of scoring all edges.
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

    @property
    def name(self) -> str:
        """``induction/hard/0``."""
        return self.circuit

    def as_dict(self) -> dict[str, Any]:
        """For a JSON line."""
        return row_to_dict(self)


def bench_circuits(
    programs: Sequence[str],
    difficulties: Sequence[str],
    methods: Sequence[str],
    seed: int = 0,
    cache: ResultCache | None = None,
) -> Iterator[CircuitRow]:
    """One row per circuit, the easiest first; what is cached is not computed again."""
    cache = cache or ResultCache("circuits", code_digest(*CODE))
    for difficulty in difficulties:
        for program in programs:
            circuit = _CompiledCircuit(program, difficulty, seed)
            key = (program, difficulty, seed)
            facts = cache.get_or_make(circuit.facts, *key)
            results = {
                method: cache.get_or_make(partial(circuit.discover, method), *key, method)
                for method in methods
            }
            yield CircuitRow(
                f"{program}/{difficulty}/{seed}",
                *key,
                **facts,
                methods={method: DiscoveryResult(**result) for method, result in results.items()},
            )


@dataclass(frozen=True)
class _CompiledCircuit:
    """A circuit that is compiled only when something about it is not in the cache."""

    program: str
    difficulty: str
    seed: int

    @cached_property
    def compiled(self) -> Compiled:
        return compile_program(self.program, self.difficulty, self.seed)

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

    def discover(self, method: str) -> dict[str, Any]:
        """A `DiscoveryResult` as a dict."""
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
    """Mean AUROC by method, by difficulty and method, and of the best method."""
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
