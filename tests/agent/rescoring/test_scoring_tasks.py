"""The tasks of `hubel eval` on a finished run, and where each part of them comes from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hubel.agent.rescoring.data import SourceData
from hubel.agent.rescoring.plan import RescoringPlan
from hubel.agent.rescoring.scoring_tasks import TaskBuilder
from hubel.agent.rescoring.sources import ExplanationSource, open_source
from hubel.agent.runlog.config import target_seed
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.progress import Reporter
from hubel.tools.index.holdout import open_collected_holdout
from hubel.tools.subject.address import Unit
from hubel.tools.subject.subject import Subject


def builder(
    source: ExplanationSource, *scorers: str, subject: Subject | None = None
) -> TaskBuilder:
    plan = RescoringPlan(scorers)
    data = SourceData(
        source, plan, Reporter(), subject, open_collected_holdout, RunLog(source.folder)
    )
    return TaskBuilder(source, plan, data)


@pytest.fixture
def source(finished: Path) -> ExplanationSource:
    return open_source("run", finished.parent)


def test_a_task_is_of_the_targets_signal_on_its_split(
    source: ExplanationSource, finished: Path
) -> None:
    explanation = source.explanations[0]
    unit = Unit.parse(explanation.target)
    task = builder(source, "simulation").build(explanation, "holdout")
    holdout = open_collected_holdout(finished / "collected")
    signal = unit.signal(holdout.activations(unit))
    np.testing.assert_array_equal(task.sample.true, np.where(holdout.mask, signal, 0))
    assert (task.split, task.explanation) == ("holdout", explanation.sentence)
    assert task.seed == target_seed(source.seed, explanation.target)


def test_words_without_a_predicate_predict_nothing(source: ExplanationSource) -> None:
    in_words = replace(source.explanations[0], predicate=None)
    task = builder(source, "simulation").build(in_words, "select")
    assert not task.predicts
    assert task.resources.predict is None


def test_a_calibration_comes_with_the_scorers_that_use_it(source: ExplanationSource) -> None:
    explanation = source.explanations[0]
    assert builder(source, "simulation").build(explanation, "select").calibration is None
    calibration = builder(source, "simulation.ev").build(explanation, "select").calibration
    assert calibration is not None


def test_the_subject_runs_on_holdout_only_and_never_for_nulls(
    source: ExplanationSource, tiny: Subject
) -> None:
    explanation = next(e for e in source.explanations if e.target.startswith("mlp"))
    tasks = builder(source, "generative", subject=tiny)
    assert tasks.build(explanation, "select").resources.activations_on is None
    on_holdout = tasks.build(explanation, "holdout").resources
    assert on_holdout.activations_on is not None
    assert on_holdout.effects is not None

    null = replace(source, nulls={explanation.target: "a rotated direction"})
    resources = builder(null, "generative", subject=tiny).build(explanation, "holdout").resources
    assert resources.activations_on is None


def test_neighbours_come_with_discrimination(source: ExplanationSource) -> None:
    explanation = next(e for e in source.explanations if e.target.startswith("mlp"))
    assert not builder(source, "detection").build(explanation, "select").resources.neighbours
    task = builder(source, "discrimination").build(explanation, "select")
    for neighbour in task.resources.neighbours:
        assert neighbour.signal.shape == task.sample.true.shape
        assert Unit.parse(neighbour.name).place == Unit.parse(explanation.target).place
