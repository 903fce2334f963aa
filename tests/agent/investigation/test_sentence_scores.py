"""Scores of a sentence: a failure is counted and never a score, and matters only without a predicate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hubel.agent.explainers.protocol import Hypothesis
from hubel.agent.investigation.sentence_scores import (
    count_failed_scores,
    score_sentence,
    simulate_on_select,
)
from hubel.agent.runlog.model_config import ModelConfig
from hubel.evals.judge.protocol import JudgeError
from hubel.evals.scorers.registry import ScoringTask
from hubel.evals.scorers.task import scoring_task
from tests.support.made_investigation import MONDAY, made_context

NAMED = ModelConfig("openai:test")


class Silent:
    """A simulator or judge that never answers."""

    def ask(self, request: Any) -> Any:
        raise JudgeError("nobody answers")


def silent_context(folder: Path) -> Any:
    context: Any = made_context(folder, simulator=NAMED, judge=NAMED)
    context.judges._chats = {"simulator": Silent(), "judge": Silent()}
    return context


def task_of(context: Any) -> ScoringTask:
    unit = context.units["mlp.0.0"]
    explore, select = (context.data.collected(split) for split in ("explore", "select"))
    vocabulary = context.data.lexicon.strings
    return scoring_task(
        unit,
        "holdout",
        select,
        explore,
        None,
        explanation="Fires on Monday.",
        vocabulary=vocabulary,
    )


def test_with_a_predicate_a_failed_score_is_counted_until_it_is_made(tmp_path: Path) -> None:
    context = silent_context(tmp_path)
    winner = Hypothesis("h1", "Fires on Monday.", MONDAY)
    assert score_sentence(context.judges, "mlp.0.0", winner, task_of(context)) == []
    assert count_failed_scores(context.log, "mlp.0.0") == 2
    score = {"hypothesis": "h1", "scorer": "detection"}
    context.log.write("score", score, target="mlp.0.0", id="h1/detection/holdout/random")
    assert count_failed_scores(context.log, "mlp.0.0") == 1


def test_without_a_predicate_a_failed_simulation_fails_the_target(tmp_path: Path) -> None:
    context = silent_context(tmp_path)
    winner = Hypothesis("h1", "Fires on Monday.", None)
    with pytest.raises(JudgeError, match="there is no verdict without a simulation"):
        score_sentence(context.judges, "mlp.0.0", winner, task_of(context))


def test_a_claim_that_cannot_be_simulated_on_select_has_no_score(tmp_path: Path) -> None:
    context = silent_context(tmp_path)
    claim = Hypothesis("h1", "Fires on Monday.", None)
    assert simulate_on_select(context, context.units["mlp.0.0"], claim) is None
    assert context.log.all("feedback", "mlp.0.0") == {}
    assert count_failed_scores(context.log, "mlp.0.0") == 0, (
        "only holdout scores are asked for again"
    )
