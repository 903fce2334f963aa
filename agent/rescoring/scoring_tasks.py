"""Scoring tasks of `hubel eval`: one explanation on one split, with all that its scorers may use.

Floor predictions and calibrations are fitted on explore, whatever the split. The subject runs on
holdout only: a forward pass is not spent on select.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from ...evals.floors import OtherTargets
from ...evals.judge.protocol import Chat
from ...evals.score import Split
from ...evals.scorers.registry import ScoringTask
from ...evals.scorers.resources import (
    ActivationsOnTexts,
    MeasureEffects,
    ScorerResources,
    TextLoss,
)
from ...evals.scorers.task import collected_sample, keep_contexts, scoring_task
from ...evals.statistics.sample import Sample
from ...tools.subject.address import Unit
from ..exchange.records import ExplainedUnit
from ..runlog.config import target_seed
from .data import SourceData
from .leaks import HeldoutWords, Leaks, find_leaks
from .plan import RescoringPlan
from .second_opinion import deal
from .sources import ExplanationSource, explanation_of
from .tables import Explanation
from .transfer import PartScore

ON_SUBJECT = ("generative", "intervention", "surprisal")
"""Scorers that run the subject."""


class SubjectFunctions(NamedTuple):
    """What scorers may do to the subject; `effects` only of units that can be steered."""

    activations_on: ActivationsOnTexts
    loss: TextLoss
    effects: MeasureEffects | None


def is_steerable(unit: Unit) -> bool:
    """Whether a unit's effects can be measured: neurons and latents can be set to a value."""
    return unit.site in ("mlp", "sae")


def without_leaks(task: ScoringTask, leaks: Leaks | None) -> ScoringTask:
    """The task on the contexts that do not leak; all of them if none would be left."""
    left = np.setdiff1d(np.arange(len(task.sample)), leaks.contexts if leaks else ())
    if leaks is None or not leaks.contexts or not task.sample.mask[left].any():
        return task
    return keep_contexts(task, left)


class TaskBuilder:
    """Builds the scoring tasks of one source under one plan. Safe to use from many threads.

    Args:
        functions: has another process run the subject; None to run it here.
    """

    def __init__(
        self,
        source: ExplanationSource,
        plan: RescoringPlan,
        data: SourceData,
        functions: Callable[[str, Split], SubjectFunctions] | None = None,
    ) -> None:
        self._source, self._plan, self._data = source, plan, data
        self._functions = functions or self.functions
        self._lock = threading.Lock()
        self._subject_lock = threading.Lock()

    def build(
        self, explanation: Explanation, split: Split, chat: Chat | None = None
    ) -> ScoringTask:
        """The task of scoring an explanation on a split.

        Args:
            chat: the judge; None leaves every decision to the predicate.
        """
        with self._lock:  # data is opened on first use: without the lock, once per thread
            return self._build(explanation, split, chat)

    def transfer(self, explanation: Explanation) -> list[PartScore]:
        """r of an explanation on each part of another corpus; empty without a predicate or corpus."""
        if explanation.predicate is None or not self._plan.corpus:
            return []
        with self._lock:
            data, unit = self._data, Unit.parse(explanation.target)
            predicted = data.predict_split(explanation.predicate, "holdout")
            collected, resampling = data.split("holdout"), self._source.resampling
            sample = collected_sample(unit, collected, predicted, resampling)
            parts = data.text_parts
        return parts.score(sample, target_seed(self._source.seed, explanation.target))

    def _build(self, explanation: Explanation, split: Split, chat: Chat | None) -> ScoringTask:
        unit, data = Unit.parse(explanation.target), self._data
        task = scoring_task(
            unit,
            split,
            data.split(split),
            data.explore,
            data.predict_split(explanation.predicate, split),
            parts=data.parts(explanation.predicate, split),
            other=data.predict_split(self._other_predicate(explanation), split),
            seed=target_seed(self._source.seed, explanation.target),
            explanation=explanation.words,
            vocabulary=data.lexicon.strings,
            resampling=self._source.resampling,
        )
        return replace(
            task,
            chat=chat,
            calibration=self._calibration(explanation, unit),
            resources=self._resources(explanation, unit, split),
        )

    def leaks(self, explanation: Explanation) -> Leaks | None:
        """The test contexts that an imported explanation's own texts show; None for other sources."""
        if self._source.imported is None:
            return None
        with self._lock:
            unit = self._imported_units[explanation]
            return find_leaks(unit, self._heldout_words)

    @cached_property
    def _imported_units(self) -> dict[Explanation, ExplainedUnit]:
        assert self._source.imported is not None
        units: dict[Explanation, ExplainedUnit] = {}
        for unit in self._source.imported.explained:
            units.setdefault(explanation_of(unit), unit)
        return units

    @cached_property
    def _heldout_words(self) -> HeldoutWords:
        holdout = self._data.split("holdout")
        return HeldoutWords(holdout.tokens, holdout.length, self._data.lexicon.strings)

    def deal(self, explanation: Explanation, leaks: Leaks) -> ScoringTask | None:
        """The null of a set: another unit's predicate on this one; None if no other has one.

        A unit has one null, with its first predicate, however many explanations it has.
        """
        other = self._dealt.get(explanation.target)
        if other is None or self._first_claims[explanation.target] != explanation:
            return None
        wrong = replace(self._first_claims[other], target=explanation.target)
        with self._lock:
            return without_leaks(self._build(wrong, "holdout", None), leaks)

    @cached_property
    def _dealt(self) -> dict[str, str]:
        return deal(list(self._first_claims), self._source.seed)

    @cached_property
    def _first_claims(self) -> dict[str, Explanation]:
        """The first predicate of each unit that has one."""
        claims: dict[str, Explanation] = {}
        for explanation in self._source.explanations:
            if explanation.predicate is not None:
                claims.setdefault(explanation.target, explanation)
        return claims

    def _calibration(self, explanation: Explanation, unit: Unit) -> Sample | None:
        """The explanation on explore, if a scorer of the plan calibrates there."""
        predicted = self._data.predict_split(explanation.predicate, "explore")
        calibrates = any(name.startswith("simulation.") for name in self._plan.scorers)
        if predicted is None or not calibrates:
            return None
        return collected_sample(unit, self._data.explore, predicted, self._source.resampling)

    def _other_predicate(self, explanation: Explanation) -> str | None:
        """The predicate of a random other target of the same layer."""
        other = self._others.draw(explanation.target)
        return None if other is None else self._predicates[other]

    @cached_property
    def _predicates(self) -> dict[str, str]:
        return {e.target: e.predicate for e in self._source.explanations if e.predicate}

    @cached_property
    def _others(self) -> OtherTargets:
        source = self._source
        targets = [row["target"] for row in source.rows] or [e.target for e in source.explanations]
        return OtherTargets(targets, self._predicates, source.seed)

    def _resources(self, explanation: Explanation, unit: Unit, split: Split) -> ScorerResources:
        """What the plan's scorers use besides the sample: the predicate, neighbours, the subject."""
        from .subject_probe import WordVectorEmbedding, confusable_units

        data, scorers = self._data, self._plan.scorers
        resources = ScorerResources()
        if explanation.predicate is not None:
            resources = replace(resources, predict=partial(data.predict, explanation.predicate))
        if self._plan.embedding == "subject" and data.subject_lexicon.vectors is not None:
            resources = replace(resources, embed=WordVectorEmbedding(data.subject_lexicon))
        if "discrimination" in scorers:
            neighbours = confusable_units(
                unit, data.explore, data.split(split), data.loaded_subject
            )
            resources = replace(resources, neighbours=neighbours)
        is_null = explanation.target in self._source.nulls
        if split == "select" or is_null or not set(ON_SUBJECT) & set(scorers):
            return resources
        functions = self._functions(explanation.target, split)
        return replace(resources, **functions._asdict())

    def functions(self, target: str, split: Split) -> SubjectFunctions:
        """What scorers may do to the subject, which is loaded for it."""
        from .subject_probe import SubjectProbe, draw_decoys

        unit, subject = Unit.parse(target), self._data.subject
        if not is_steerable(unit):
            probe = SubjectProbe(subject, unit, lock=self._subject_lock)
            return SubjectFunctions(probe.activations_on, probe.loss, None)
        # Compared with other neurons of the layer, or decoder rows of other latents.
        width = subject.shape.count(unit.place)
        decoys = draw_decoys(unit, width, target_seed(self._source.seed, target))
        probe = SubjectProbe(subject, unit, decoys, self._subject_lock)
        # Steer with the largest activation of the split, so that the subject sees realistic values.
        collected = self._data.split(split)
        strength = float(np.abs(collected.signal(unit)).max())
        effects = probe.effects(collected.tokens, strength)
        return SubjectFunctions(probe.activations_on, probe.loss, effects)
