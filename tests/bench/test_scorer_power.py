"""A scorer's power to tell the truth from another unit's explanation."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hubel.bench.scorer_power import ExplanationPair, power
from hubel.evals.judge.offline import ConstantJudge
from hubel.evals.scorers.score_all import with_explanation
from tests.support.fruit import make_task


def pair(seed: int, **changes) -> ExplanationPair:
    true = make_task(seed, contexts=150, **changes)
    return ExplanationPair(
        true, with_explanation(true, "the words word18 and word19", true.floor_predictions.other)
    )


@pytest.mark.slow
def test_scorers_that_see_the_truth_have_power_and_constants_have_none():
    rows = power([pair(seed) for seed in range(12)], ["simulation", "detection", "embedding"])
    assert [row.scorer for row in rows] == ["simulation", "detection", "embedding"]
    for row in rows:
        assert row.auroc is not None
        assert row.auroc.value > 0.95
        assert (row.coverage.targets, row.coverage.scored) == (12, 12)
        json.dumps(row.to_json(), allow_nan=False)
    (judged,) = power([pair(seed, chat=ConstantJudge("yes")) for seed in range(3)], ["fuzzing"])
    assert judged.auroc is not None
    assert judged.auroc.value == 0.5
    assert judged.cost.calls == 12


def test_what_has_no_score_is_counted_and_left_out():
    whole = pair(0)
    dead = np.zeros_like(whole.true.sample.true)
    without = ExplanationPair(
        *(replace(task, sample=replace(task.sample, true=dead)) for task in whole)
    )
    garbled = pair(1, chat=ConstantJudge("what?"))
    (row,) = power([whole, without, garbled], ["detection"])
    assert (row.coverage.scored, row.coverage.failed, row.coverage.skipped) == (1, 1, 1)
    assert row.true is not None
    assert row.rival is not None
    assert row.true > row.rival


def test_nothing_scored_is_no_number():
    (row,) = power([pair(0, chat=ConstantJudge("what?"))], ["detection"])
    assert row.auroc is None
    assert row.true is row.rival is None


@pytest.mark.parametrize("scorer", ["intruder"])
def test_a_scorer_that_never_reads_the_explanation_has_no_power(scorer):
    """With a judge, intruder measures the unit: the same for every explanation of it."""
    (row,) = power([pair(seed, chat=ConstantJudge("B")) for seed in range(4)], [scorer])
    assert row.auroc is not None
    assert row.auroc.value == 0.5
