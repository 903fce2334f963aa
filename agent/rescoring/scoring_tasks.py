"""Cases for the scorers: one explanation of a source on one split, with all that a scorer may read
and do.

Rivals (token lookup, another unit's explanation) come from explore, whatever the split; so does
what a calibration is fitted on. `ScorerResources` runs the subject on holdout only: what costs a forward pass
is not spent on select.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace

import numpy as np

from ...evals.floors import draw_other_target
from ...evals.judge.protocol import Chat
from ...evals.score import Split
from ...evals.scorers.registry import ScoringTask
from ...evals.scorers.resources import ScorerResources
from ...evals.scorers.task import collected_sample, scoring_task
from ...evals.statistics.sample import Sample
from ...tools.subject.address import Unit
from .data import SourceData
from .plan import RescoringPlan
from .sources import ExplanationSource
from .tables import Explanation

ON_SUBJECT = ("generative", "intervention", "surprisal")
"""Scorers that run the subject."""


class TaskBuilder:
    """Makes the cases of one source under one plan. Safe to use from many threads."""

    def __init__(self, source: ExplanationSource, plan: RescoringPlan, texts: SourceData) -> None:
        self._source, self._plan, self._texts = source, plan, texts
        self._lock = threading.Lock()
        self._subject_lock = threading.Lock()

    def build(
        self, explanation: Explanation, split: Split, chat: Chat | None = None
    ) -> ScoringTask:
        """An explanation on a split.

        Args:
            chat: the judge, journaled; None leaves every decision to the predicate.
        """
        with self._lock:  # what the texts open or load is opened once
            return self._case(explanation, split, chat)

    def _case(self, explanation: Explanation, split: Split, chat: Chat | None) -> ScoringTask:
        unit = Unit.parse(explanation.target)
        task = scoring_task(
            unit,
            split,
            self._texts.split(split),
            self._texts.explore,
            self._texts.predict_split(explanation.predicate, split),
            other=self._texts.predict_split(self._other(explanation), split),
            seed=target_seed(self._source.seed, explanation.target),
            explanation=explanation.sentence,
            vocabulary=self._texts.lexicon.strings,
        )
        return replace(
            task,
            chat=chat,
            calibration=self._calibration(explanation, unit),
            resources=self._resources(explanation, unit, split),
        )

    def _calibration(self, explanation: Explanation, unit: Unit) -> Sample | None:
        """The explanation on explore, where a scorer fits a calibration."""
        predicted = self._texts.predict_split(explanation.predicate, "explore")
        calibrates = any(name.startswith("simulation.") for name in self._plan.scorers)
        if predicted is None or not calibrates:
            return None
        return collected_sample(unit, self._texts.explore, predicted)

    def _other(self, explanation: Explanation) -> str | None:
        """The predicate of a random other target of the same layer."""
        predicates = {e.target: e.predicate for e in self._source.explanations if e.predicate}
        targets = [row["target"] for row in self._source.rows]
        targets = targets or [e.target for e in self._source.explanations]
        other = draw_other_target(explanation.target, targets, list(predicates), self._source.seed)
        return None if other is None else predicates[other]

    def _resources(self, explanation: Explanation, unit: Unit, split: Split) -> ScorerResources:
        from .subject_probe import SubjectProbe, WordVectorEmbedding, confusable_units, draw_decoys

        resources = ScorerResources()
        if explanation.predicate is not None:
            printed = explanation.predicate
            resources = replace(
                resources,
                predict=lambda tokens, length: self._texts.predict(printed, tokens, length),
            )
        if self._plan.embedding == "subject" and self._texts.whole_lexicon.vectors is not None:
            resources = replace(resources, embed=WordVectorEmbedding(self._texts.whole_lexicon))
        if "discrimination" in self._plan.scorers:
            subject = self._texts.loaded_subject
            resources = replace(
                resources,
                neighbours=confusable_units(
                    unit, self._texts.explore, self._texts.split(split), subject
                ),
            )
        runs = explanation.target not in self._source.nulls and any(
            n in ON_SUBJECT for n in self._plan.scorers
        )
        if split == "select" or not runs:
            return resources
        seed = target_seed(self._source.seed, explanation.target)
        decoys = (
            draw_decoys(unit, self._texts.subject.shape.count(unit.place), seed)
            if unit.site == "mlp"
            else []
        )
        bench = SubjectProbe(self._texts.subject, unit, decoys, self._subject_lock)
        resources = replace(resources, activations_on=bench.activations_on, loss=bench.loss)
        if unit.site != "mlp":
            return resources
        data = self._texts.split(split)
        strength = float(np.abs(data.signal(unit)).max())
        return replace(resources, effects=bench.effects(data.tokens, strength))


def target_seed(seed: int, target: str) -> int:
    """The seed of everything random about a target, as the run's own (`room.Room.seed`)."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{target}".encode()).digest()[:4], "big")
