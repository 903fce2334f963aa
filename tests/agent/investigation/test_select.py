"""On select the best hypothesis wins, if it may; formulas are scored on the split that is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubel.agent.explainers.protocol import Hypothesis
from hubel.agent.investigation.formula_scores import (
    fit_on_explore,
    grade_on_explore,
    score_formula,
)
from hubel.agent.investigation.select import Selection, select_winner
from hubel.tools.subject.address import Unit
from tests.support.made_investigation import FRIDAY, MONDAY, made_context

UNIT = Unit.parse("mlp.0.0")


def hypotheses(*printed: str | None) -> list[Hypothesis]:
    return [Hypothesis(f"h{i}", "It fires.", text) for i, text in enumerate(printed, 1)]


def test_the_best_of_those_that_may_win_wins_and_all_get_feedback(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    rivals = hypotheses(FRIDAY, MONDAY, MONDAY)
    assert select_winner(context, UNIT, rivals, {"h1", "h2", "h3"}).winner == "h2", (
        "first of equals"
    )
    selection = select_winner(context, UNIT, rivals, {"h1", "h3"})
    feedback = context.log.all("feedback", "mlp.0.0")
    assert selection == Selection("h3", feedback["h3"]["score"])
    assert set(feedback) == {"h1", "h2", "h3"}
    assert feedback["h1"]["score"] < 0.1 < 0.9 < feedback["h2"]["score"]
    assert feedback["h1"]["worst"][0]["token"] == " Monday"


def test_without_an_eligible_hypothesis_nothing_wins(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    assert select_winner(context, UNIT, hypotheses(MONDAY), set()) == Selection("", 0.0)
    in_words = hypotheses(None)
    assert select_winner(context, UNIT, in_words, {"h1"}).winner == "", "there is no simulator"


def test_a_formula_that_cannot_be_run_is_an_answer_and_is_journaled(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    fit = fit_on_explore(context, UNIT, "loudly nonsense")
    assert (fit.score, bool(fit.problem)) == (None, True)
    graded = grade_on_explore(context, UNIT, ("nonsense",))
    assert (graded.predicate, bool(graded.problem)) == ("", True)
    assert len(context.log.all("fit", "mlp.0.0")) == len(context.log.all("grades", "mlp.0.0")) == 1


def test_a_fit_says_what_each_term_is_worth_and_what_is_missed(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    fit = fit_on_explore(context, UNIT, f'{MONDAY} - faintly words("the")')
    explore, select = (context.data.of(UNIT, split) for split in ("explore", "select"))
    assert fit.score is not None
    assert fit.score > 0.9
    assert fit.worth[0] > 0.5 > fit.worth[1]
    assert score_formula(explore, MONDAY)[0] != score_formula(select, MONDAY)[0]
    missed = fit_on_explore(context, UNIT, FRIDAY).missed
    assert missed[0]["token"] == " Monday"
    assert missed[0]["missing"] == pytest.approx(3.0, abs=0.5)


def test_grades_are_fitted_to_explore(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    graded = grade_on_explore(context, UNIT, ('words("monday")', 'words("the")'))
    assert "monday" in graded.predicate
    assert score_formula(context.data.of(UNIT, "explore"), graded.predicate)[0] > 0.9
