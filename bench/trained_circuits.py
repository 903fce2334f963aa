"""Are the circuits of trained models faithful? Every scoring method on tiny transformers trained in
seconds.

The true edges of a trained model are unknown, so there is no AUROC. Reported instead:

1. f of each method's circuit at several sizes, on held-out prompts. The area of |1 - f| is CMD, as
   in `evals.statistics.faithfulness`; for comparison, the mean over random connected circuits.
2. For induction: the heads of layer 0 that attend to the previous token, and those of layer 1 that
   attend to what followed earlier copies (`tools/circuits/attention`; all that attend at least half
   as much as the best one), and what share of them is in a method's circuit of a fifth of the edges.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from ..evals.statistics.faithfulness import faithfulness_curve
from ..tools.circuits.attention import head_scores
from ..tools.circuits.discovery import faithfulness_of, random_circuit, top_edges
from ..tools.circuits.graph import Node
from ..tools.circuits.methods import score_edges
from ..tools.files.code_digest import code_digest
from .known_circuits import CODE
from .known_circuits.trained import TrainedModel, load_trained, pairs_of_task
from .result_cache import ResultCache, means, row_to_dict

PAIRS = 32
HELD_OUT = 1_000_000
"""Added to the seed of the pairs on which faithfulness is measured."""
SHARES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Sizes of circuits; MIB's smallest would be less than one of these 110 edges."""
HEADS_AT = 0.2
"""Size of the circuit that is searched for the known heads."""
RANDOM_DRAWS = 5
"""Random circuits that the method `random` averages over."""


class MethodResult(NamedTuple):
    """The circuits that one method finds in a trained model.

    Attributes:
        f: faithfulness on held-out pairs at each of `SHARES`.
        cmd: area of |1 - f| over `SHARES`, 0 is best.
        cpr: area of f.
        seconds: CPU seconds of finding them.
        heads: for induction, the share of previous-token and of induction heads in the circuit at
            `HEADS_AT`.
    """

    f: list[float]
    cmd: float
    cpr: float
    seconds: float
    heads: dict[str, float]


class TrainedRow(NamedTuple):
    """One trained model under all methods.

    Attributes:
        training_seconds: CPU seconds.
        heads: for induction, the heads of each kind with their attention scores.
    """

    trained: str
    seed: int
    accuracy: float
    training_seconds: float
    edges: int
    heads: dict[str, dict[str, float]]
    methods: dict[str, MethodResult]

    @property
    def name(self) -> str:
        """The task of the model: ``induction``."""
        return self.trained

    def as_dict(self) -> dict[str, Any]:
        """For a JSON line."""
        return row_to_dict(self)


def bench_trained(
    tasks: Sequence[str], methods: Sequence[str], seed: int = 0, cache: ResultCache | None = None
) -> Iterator[TrainedRow]:
    """One row per model; what is cached is not computed again."""
    cache = cache or ResultCache("trained-circuits", code_digest(*CODE))
    for task in tasks:
        circuit = _TrainedCircuit(task, seed)
        facts = cache.get_or_make(circuit.facts, task, seed)
        results = {
            method: cache.get_or_make(partial(circuit.discover, method), task, seed, method)
            for method in methods
        }
        curves = {method: MethodResult(**result) for method, result in results.items()}
        yield TrainedRow(task, seed, **facts, methods=curves)


@dataclass(frozen=True)
class _TrainedCircuit:
    """A model that is trained or loaded only when something about it is not in the cache."""

    task: str
    seed: int

    @cached_property
    def trained(self) -> TrainedModel:
        return load_trained(self.task, self.seed)

    def facts(self) -> dict[str, Any]:
        heads = {
            kind: {str(head): score for head, score in scores.items()}
            for kind, scores in self._heads.items()
        }
        return {
            "accuracy": self.trained.accuracy,
            "training_seconds": self.trained.seconds,
            "edges": self.trained.model.graph.n_edges,
            "heads": heads,
        }

    def discover(self, method: str) -> dict[str, Any]:
        """A `MethodResult` as a dict."""
        model, task = self.trained.model, self.trained.task
        f = faithfulness_of(model, pairs_of_task(task, PAIRS, self.seed + HELD_OUT))
        sizes = [max(1, round(share * model.graph.n_edges)) for share in SHARES]
        started = time.process_time()
        if method == "random":
            draws = range(RANDOM_DRAWS)
            circuits = [
                [random_circuit(model.graph, size, draw) for size in sizes] for draw in draws
            ]
        else:
            scores = score_edges(method, model, pairs_of_task(task, PAIRS, self.seed)).cpu()
            circuits = [[top_edges(model.graph, scores, size) for size in sizes]]
        seconds = time.process_time() - started
        curves = [
            faithfulness_curve(SHARES, [f(circuit) for circuit in by_size]) for by_size in circuits
        ]
        searched = circuits[0][SHARES.index(HEADS_AT)]
        heads = {kind: self._share_of(searched, nodes) for kind, nodes in self._heads.items()}
        mean_curve = np.mean([curve.f for curve in curves], axis=0)
        cmd, cpr = np.mean([(curve.cmd, curve.cpr) for curve in curves], axis=0).tolist()
        return MethodResult(
            mean_curve.tolist(),
            cmd,
            cpr,
            seconds,
            heads,
        )._asdict()

    @cached_property
    def _heads(self) -> dict[str, dict[Node, float]]:
        if self.task != "induction":
            return {}
        ids = pairs_of_task(self.trained.task, PAIRS, self.seed + HELD_OUT).clean
        scores = head_scores(self.trained.model.subject, ids)
        return {
            "previous": _best(scores.previous[0], layer=0),
            "induction": _best(scores.induction[1], layer=1),
        }

    def _share_of(self, circuit: Bool[Tensor, "source target"], heads: Collection[Node]) -> float:
        rows = [self.trained.model.graph.sources.index(head) for head in heads]
        return float(circuit[rows].any(1).float().mean())


def _best(scores: Float[Tensor, " head"], layer: int) -> dict[Node, float]:
    """The head with the highest score, and all with at least half of it."""
    best = (scores >= scores.max() / 2).nonzero()[:, 0].tolist()
    return {Node("head", layer, head): float(scores[head]) for head in best}


def trained_summary(rows: Sequence[TrainedRow]) -> dict[str, Any]:
    """Mean CMD by method, and each model's accuracy."""
    return {"cmd": means(rows, "cmd"), "accuracy": {row.trained: row.accuracy for row in rows}}
