"""Several scorers on one task: failures, skips and shared requests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hubel.evals.judge.offline import ScriptedJudge
from hubel.evals.scorers.score_all import score_all, with_explanation
from hubel.tools.errors import UsageError
from tests.support.fruit import Oracle, make_task


def test_a_failure_does_not_cost_the_other_scores() -> None:
    silent = ScriptedJudge([])
    detection, simulation = score_all(make_task(chat=silent), ["detection", "simulation"])
    assert detection.scores == ()
    assert "has no answer" in detection.failure
    assert (detection.skipped, detection.value) == ("", None)
    assert simulation.value is not None


def test_a_missing_sentence_is_a_skip_and_not_a_failure() -> None:
    (outcome,) = score_all(make_task(explanation=" "), ["embedding"])
    assert (outcome.scores, outcome.failure) == ((), "")
    assert outcome.skipped == "there is no explanation in words"


def test_a_failed_call_is_counted() -> None:
    (outcome,) = score_all(make_task(chat=ScriptedJudge([])), ["detection"])
    assert outcome.cost.calls == 1


def test_a_shared_request_is_sent_once_and_costs_once() -> None:
    judge = Oracle()
    detection, purity = score_all(make_task(chat=judge), ["detection", "purity"])
    assert len(judge.requests) == len(set(judge.requests))
    assert detection.cost.input_tokens > 0
    assert detection.cost.calls == len(judge.requests)
    assert (purity.cost.calls, purity.cost.input_tokens) == (0, 0)


def test_outcomes_stay_in_order_and_an_unknown_scorer_is_refused() -> None:
    names = ["fuzzing", "simulation", "detection"]
    assert [outcome.scorer for outcome in score_all(make_task(), names)] == names
    with pytest.raises(UsageError, match="no scorer 'guessing'; known: "):
        score_all(make_task(), ["guessing"])


def test_another_explanation_keeps_text_and_truth() -> None:
    task = replace(make_task(), calibration=make_task().sample)
    other = with_explanation(task, "the word fig", np.ones_like(task.sample.true))
    np.testing.assert_array_equal(other.sample.true, task.sample.true)
    np.testing.assert_array_equal(other.sample.predicted, task.sample.mask)
    assert (other.explanation, other.predicts) == ("the word fig", True)
    assert other.calibration is None, "a calibration belongs to the explanation it was fitted for"
    in_words = with_explanation(task, "the word fig", None)
    assert not in_words.predicts
