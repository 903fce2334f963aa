"""Are the circuits of trained models faithful? Every scoring method on tiny transformers trained in
seconds.

Nobody knows the true edges of a trained model, so that there is no AUROC. What is reported:

1. f of each method's circuit at several sizes, on prompts that it has not seen; their area of |1 -
   f| is CMD, as in `evals.statistics.faithfulness`, beside the mean of several random connected
   circuits.
2. For induction: the heads of the first layer that look at the previous token, and those of the
   second that look at what followed earlier copies (`tools/circuits/attention`; all that look at
   least half as much as the best one), and what share of them a method's circuit of a fifth of the
   edges holds.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
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
from .known_circuits import CODE
from .known_circuits.trained import Trained, pairs_of_lesson, trained
from .result_cache import ResultCache, code_digest

PAIRS = 32
HELD_OUT = 1_000_000
"""Added to the seed of the pairs on which faithfulness is measured."""
SHARES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Sizes: MIB's smallest would be no edge of these 110."""
LOOKED_AT = 0.2
RANDOM = 5
"""Random circuits that are averaged; `random` is that and no single draw."""


class MethodResult(NamedTuple):
    """What a method makes of one trained model.

    Attributes:
        f: faithfulness on held-out pairs at each of `SHARES`.
        heads: for induction, the share of the previous-token and of the induction heads in the circuit at `LOOKED_AT`.
    """

    f: list[float]
    cmd: float
    cpr: float
    seconds: float
    heads: dict[str, float]


class TrainedRow(NamedTuple):
    """One trained model under all methods.

    Attributes:
        heads: for induction, the heads of each kind with their attention scores.
    """

    trained: str
    seed: int
    accuracy: float
    training_seconds: float
    edges: int
    heads: dict[str, dict[str, float]]
    methods: dict[str, MethodResult]

    def as_dict(self) -> dict[str, Any]:
        """For a JSON line."""
        return {
            **self._asdict(),
            "methods": {name: found._asdict() for name, found in self.methods.items()},
        }


def bench_trained(
    lessons: Sequence[str], methods: Sequence[str], seed: int = 0, stored: ResultCache | None = None
) -> Iterator[TrainedRow]:
    """One row a model; what is stored is not made again."""
    stored = stored or ResultCache("trained-circuits", code_digest(*CODE))
    for name in lessons:
        model = _Model(name, seed)
        facts = stored.or_make(model.facts, *model)
        found = {
            method: stored.or_make(partial(model.found, method), *model, method)
            for method in methods
        }
        curves = {method: MethodResult(**values) for method, values in found.items()}
        yield TrainedRow(name, seed, **facts, methods=curves)


class _TrainedNames(NamedTuple):
    lesson: str
    seed: int


class _Model(_TrainedNames):
    """A trained model, trained or loaded when something about it is not known yet."""

    @cached_property
    def trained(self) -> Trained:
        return trained(*self)

    def facts(self) -> dict[str, Any]:
        return {
            "accuracy": self.trained.accuracy,
            "training_seconds": self.trained.seconds,
            "edges": self.trained.model.graph.n_edges,
            "heads": {
                kind: {str(head): score for head, score in each.items()}
                for kind, each in self._heads.items()
            },
        }

    def found(self, method: str) -> dict[str, Any]:
        model, lesson = self.trained.model, self.trained.lesson
        f = faithfulness_of(model, pairs_of_lesson(lesson, PAIRS, self.seed + HELD_OUT))
        sizes = [max(1, round(share * model.graph.n_edges)) for share in SHARES]
        started = time.process_time()
        if method == "random":
            circuits = [
                [random_circuit(model.graph, size, draw) for size in sizes]
                for draw in range(RANDOM)
            ]
        else:
            scores = score_edges(method, model, pairs_of_lesson(lesson, PAIRS, self.seed)).cpu()
            circuits = [[top_edges(model.graph, scores, size) for size in sizes]]
        seconds = time.process_time() - started
        curves = [faithfulness_curve(SHARES, [f(circuit) for circuit in some]) for some in circuits]
        looked_at = circuits[0][SHARES.index(LOOKED_AT)]
        return MethodResult(
            np.mean([each.f for each in curves], axis=0).tolist(),
            float(np.mean([each.cmd for each in curves])),
            float(np.mean([each.cpr for each in curves])),
            seconds,
            {kind: self._share_of(looked_at, heads) for kind, heads in self._heads.items()},
        )._asdict()

    @cached_property
    def _heads(self) -> dict[str, dict[Node, float]]:
        if self.lesson != "induction":
            return {}
        ids = pairs_of_lesson(self.trained.lesson, PAIRS, self.seed + HELD_OUT).clean
        scores = head_scores(self.trained.model.subject, ids)
        return {
            kind: _best(values[layer], layer)
            for kind, values, layer in (
                ("previous", scores.previous, 0),
                ("induction", scores.induction, 1),
            )
        }

    def _share_of(self, circuit: Bool[Tensor, "source target"], heads: Collection[Node]) -> float:
        rows = [self.trained.model.graph.sources.index(head) for head in heads]
        return float(circuit[rows].any(1).float().mean())


def _best(scores: Float[Tensor, " head"], layer: int) -> dict[Node, float]:
    """The head with the highest score, and all with at least half of it."""
    chosen = (scores >= scores.max() / 2).nonzero()[:, 0].tolist()
    return {Node("head", layer, head): float(scores[head]) for head in chosen}


def trained_summary(rows: Sequence[TrainedRow]) -> dict[str, Any]:
    """Mean CMD by method, and each model's accuracy."""
    methods = list(dict.fromkeys(name for row in rows for name in row.methods))
    return {
        "cmd": {name: float(np.mean([row.methods[name].cmd for row in rows])) for name in methods},
        "accuracy": {row.trained: row.accuracy for row in rows},
    }
