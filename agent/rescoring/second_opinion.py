"""What is left of somebody else's explanations on text that they never saw.

1. Test contexts that an explanation's own prompt or exemplars show are left out (`leaks`).
2. Each explanation gets the verdict that one of our own would get (`evals.verdict`): held-out r at
   least 0.2 with its interval, better than the best trivial prediction, and a discovery at 5 % among
   all of the set (Benjamini-Hochberg). A unit that failed or cannot be scored counts with p = 1.
   Several explanations of a unit each have their verdict, and all are of that one family.
3. An explanation in words only has the r of a language model that simulates it (`llm_simulation`).
   If only a judge is there, r is 2 a - 1 of detection's balanced accuracy a, which is 0 by chance and
   1 if all windows are told apart, and p is from its interval.
4. The null: the first predicate of every unit is dealt to another unit of its layer and gets its
   verdict in the same way. What survives there says how easily these verdicts are had.

*Survives* means kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import erfc, sqrt
from typing import Any

import numpy as np

from ...evals.score import Score
from ...evals.scorers.registry import ScoringTask
from ...evals.scorers.simulation import Evidence, evidence_for_verdict, score_simulation
from ...evals.verdict import DOCUMENTS, TargetResult, Verdict, decide_verdicts
from ...tools.subject.address import Unit
from .plan import RescoredTarget

WORST = 10
"""Explanations that are listed as the worst."""
_WIDTH = 2 * 1.96
"""A 95 % interval in standard errors."""


@dataclass(frozen=True)
class Opinion:
    """One explanation's verdict and what it rests on."""

    row: RescoredTarget
    result: TargetResult
    verdict: Verdict
    layer: int
    """That its unit is in, or its dictionary reads."""

    @property
    def survives(self) -> bool:
        """Whether it is kept."""
        return self.verdict.verdict == "kept"


@dataclass(frozen=True)
class SecondOpinion:
    """The verdicts of a set.

    Attributes:
        null_survivors, null_total: the predicates dealt to other units: how many are kept, of how many.
    """

    opinions: Sequence[Opinion]
    null_survivors: int
    null_total: int

    @property
    def survivors(self) -> int:
        """How many explanations are kept."""
        return sum(opinion.survives for opinion in self.opinions)

    def by_layer(self) -> dict[str, tuple[int, int]]:
        """Kept, and all, of each layer, in the order of layers."""
        layers: dict[int, list[bool]] = defaultdict(list)
        for opinion in self.opinions:
            layers[opinion.layer].append(opinion.survives)
        return {str(layer): (sum(layers[layer]), len(layers[layer])) for layer in sorted(layers)}

    def worst(self, count: int = WORST) -> list[Opinion]:
        """Those that were measured and do not survive, the lowest r first."""
        fallen = [o for o in self.opinions if not o.survives and o.result.value is not None]
        return sorted(fallen, key=lambda o: o.result.value or 0.0)[:count]

    def best_of_several(self) -> dict[str, Opinion]:
        """The best explanation of each unit that has more than one: kept if one is, then by r."""
        by_unit: dict[str, list[Opinion]] = defaultdict(list)
        for opinion in self.opinions:
            by_unit[opinion.row.explanation.target].append(opinion)

        def rank(opinion: Opinion) -> tuple[bool, float]:
            value = opinion.result.value
            return opinion.survives, -1.0 if value is None else value

        return {unit: max(each, key=rank) for unit, each in by_unit.items() if len(each) > 1}

    def units(self) -> tuple[int, int]:
        """How many units have an explanation that is kept, and how many have one at all."""
        kept = {o.row.explanation.target for o in self.opinions if o.survives}
        return len(kept), len({o.row.explanation.target for o in self.opinions})

    def leaking(self) -> list[Opinion]:
        """Those with test contexts in their own prompt or exemplars, most first."""
        leaking = [o for o in self.opinions if o.row.leaks and o.row.leaks.contexts]
        return sorted(leaking, key=lambda o: -len(o.row.leaks.contexts if o.row.leaks else ()))

    def summary(self) -> dict[str, Any]:
        """The last line of `hubel eval --json`."""
        verdicts = [opinion.verdict.verdict for opinion in self.opinions]
        leaking, by_layer = self.leaking(), self.by_layer()
        contexts = [len(o.row.leaks.contexts) for o in leaking if o.row.leaks]
        units_kept, n_units = self.units()
        return {
            "survive": self.survivors,
            "of": len(self.opinions),
            "units": {"survive": units_kept, "of": n_units},
            "best": {u: o.row.explanation.words for u, o in self.best_of_several().items()},
            "rejected": verdicts.count("rejected"),
            "inconclusive": verdicts.count("inconclusive"),
            "failed": verdicts.count(None),
            "by_layer": {k: {"survive": n, "of": m} for k, (n, m) in by_layer.items()},
            "worst": [opinion.row.explanation.target for opinion in self.worst()],
            "leaking": len(leaking),
            "leaked_contexts": sum(contexts),
            "null": {"survive": self.null_survivors, "of": self.null_total},
        }


def second_opinion(
    rows: Sequence[RescoredTarget], layer_of: Callable[[Unit], int]
) -> SecondOpinion:
    """The verdicts of a set that has been scored, whose source knows the layer of each unit."""
    results = [_result(row) for row in rows]
    verdicts = decide_verdicts(results)
    opinions = [
        Opinion(
            replace(row, run=_columns(row, result, verdict)),
            result,
            verdict,
            layer_of(Unit.parse(row.explanation.target)),
        )
        for row, result, verdict in zip(rows, results, verdicts, strict=True)
    ]
    dealt = [row.dealt for row in rows if row.dealt is not None]
    kept = sum(verdict.verdict == "kept" for verdict in decide_verdicts(dealt))
    return SecondOpinion(opinions, kept, len(dealt))


def _columns(row: RescoredTarget, result: TargetResult, verdict: Verdict) -> Mapping[str, Any]:
    """What a run's own row would say."""
    own = {"verdict": verdict.verdict, "p": result.p, "reason": verdict.reason}
    return {**row.run, **own}


def _result(row: RescoredTarget) -> TargetResult:
    """What the verdict on an explanation rests on."""
    target = row.explanation.target
    if row.status != "done":
        return TargetResult(
            target, "failed" if row.status == "failed" else "pending", failure=row.error
        )
    if row.evidence is not None:
        name = "simulation" if row.explanation.predicate else "llm_simulation"
        score = _find(row.scores, name)
        return result_of(target, score, row.evidence)
    detection = _find(row.scores, "detection", "top_and_random")
    if detection is not None and not row.explanation.predicate:
        return _from_detection(target, detection)
    return TargetResult(target)


def result_of(target: str, score: Score | None, evidence: Evidence) -> TargetResult:
    """The basis of a verdict, from a score on random text."""
    if score is None:
        return TargetResult(target)
    return TargetResult(
        target,
        value=score.value,
        low=score.low,
        high=score.high,
        p=evidence.p,
        over_trivial=evidence.over_trivial.low,
        trivial=evidence.trivial,
        active_documents=evidence.active_documents,
        activation="a strong activation",
    )


def _from_detection(target: str, score: Score) -> TargetResult:
    """The same from a judge's balanced accuracy, stretched to 0 by chance and 1 for all right."""
    value, low, high = (
        None if each is None else 2 * each - 1 for each in (score.value, score.low, score.high)
    )
    if value is None or low is None or high is None:
        return TargetResult(target)
    trivial = 2 * (score.floors.trivial or 0.5) - 1
    deviation = (high - low) / _WIDTH
    p = 0.5 * erfc(value / deviation / sqrt(2)) if deviation else 1.0
    # `choose_windows` has seen to it that there are ten active windows.
    return TargetResult(
        target, "done", value, low, high, p, low - trivial, "a trivial prediction", DOCUMENTS
    )


def _find(scores: Iterable[Score], scorer: str, text: str = "random") -> Score | None:
    key = scorer, "holdout", text
    return next((s for s in scores if (s.scorer, s.split, s.text) == key), None)


def dealt_result(task: ScoringTask, target: str) -> TargetResult:
    """The basis of a verdict on another unit's predicate, whose predictions the task has."""
    return result_of(target, score_simulation(task), evidence_for_verdict(task))


def deal(targets: Sequence[str], seed: int) -> dict[str, str]:
    """For each target another one of its layer, whose predicate it gets; no two get the same one.

    A target that is alone in its layer gets none.
    """
    layers: dict[str, list[str]] = defaultdict(list)
    for target in targets:
        layers[str(Unit.parse(target).place)].append(target)
    rng = np.random.default_rng([seed, 19])
    dealt: dict[str, str] = {}
    for members in layers.values():
        order = [members[i] for i in rng.permutation(len(members))]
        if len(order) > 1:  # one step around a circle: nobody keeps its own
            dealt |= dict(zip(order, [*order[1:], order[0]], strict=True))
    return dealt
