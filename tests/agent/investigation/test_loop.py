"""The graph's two arrows that go back, and what a driver makes of an explainer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import MemorySaver

from hubel.agent.explainers.protocol import Hypothesis, InvestigationView, Move
from hubel.agent.explainers.scripted import ScriptedExplainer
from hubel.agent.investigation.context import InvestigationContext
from hubel.agent.investigation.drivers import DialogueDriver, ExplainerDriver
from hubel.agent.investigation.loop import build_graph
from hubel.agent.runlog.log import RunLog
from hubel.tools.errors import ArgumentError, BudgetReached
from hubel.tools.subject.address import Unit
from tests.support.made_investigation import FRIDAY, MONDAY, RecordingDesk, made_context

TARGET = "mlp.0.0"


def claim(id: str, predicate: str | None) -> dict[str, Any]:
    return {"id": id, "sentence": "Fires on a day.", "predicate": predicate}


def investigate(folder: Path, moves: list[dict[str, Any]], **settings: Any) -> RunLog:
    context: Any = made_context(folder, **settings)
    context.instruments = RecordingDesk()
    driver = ExplainerDriver(context, ScriptedExplainer({TARGET: moves}))
    graph = build_graph(driver, MemorySaver())
    graph.invoke({"target": TARGET}, {"configurable": {"thread_id": TARGET}})  # type: ignore[arg-type]
    return context.log


def test_an_explainer_that_is_not_ready_moves_again_before_select(tmp_path: Path) -> None:
    moves = [
        {"hypotheses": [claim("h1", FRIDAY)], "ready": False},
        {"hypotheses": [claim("h2", MONDAY)]},
    ]
    log = investigate(tmp_path, moves, rounds=1)
    assert list(log.all("move", TARGET)) == ["1", "2"]
    rounds = {id: row["round"] for id, row in log.all("hypothesis", TARGET).items()}
    assert rounds == {"h1": 0, "h2": 0}
    conclusion = log.get("conclusion", TARGET)
    assert conclusion is not None
    assert conclusion["hypothesis"] == "h2"


def test_an_explainer_that_revises_sees_its_score_on_select(tmp_path: Path) -> None:
    moves = [{"hypotheses": [claim("h1", FRIDAY)]}, {"hypotheses": [claim("h2", MONDAY)]}]
    log = investigate(tmp_path, moves, rounds=2)
    rounds = {id: row["round"] for id, row in log.all("hypothesis", TARGET).items()}
    assert rounds == {"h1": 0, "h2": 1}
    assert len(log.all("move", TARGET)) == 2, "no third round"


def test_a_sentence_that_is_too_long_is_an_error(tmp_path: Path) -> None:
    long = claim("h1", MONDAY) | {"sentence": "word " * 41}
    with pytest.raises(ArgumentError, match="41 words"):
        investigate(tmp_path, [{"hypotheses": [long]}])


def view_of(context: InvestigationContext) -> InvestigationView:
    unit = Unit.parse(TARGET)
    explore = partial(context.data.of, unit, "explore")
    return InvestigationView(unit, round=0, moves=0, seed=1, observation={}, explore=explore)


class CountingExplainer(ScriptedExplainer):
    asked = 0

    def move(self, view: InvestigationView) -> Move:
        self.asked += 1
        return super().move(view)


def test_a_move_on_the_same_view_is_made_once(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    explainer = CountingExplainer({})
    driver = ExplainerDriver(context, explainer)
    view = view_of(context)
    assert driver.move(view) == driver.move(view)
    assert explainer.asked == 1


class Penniless:
    def admit(self, target: str) -> None:
        raise BudgetReached("no more calls")


def test_a_failed_target_is_retried_on_the_record_and_not_without_budget(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    context.log.write("failure", {"error": "no answer"}, target=TARGET)
    driver = DialogueDriver(context, ScriptedExplainer({}), Penniless())  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(BudgetReached):
            driver.start(Unit.parse(TARGET))
    assert list(context.log.all("retry", TARGET)) == ["1", "2"]


def test_the_competitor_is_the_formula_that_does_best_on_select(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Move((Hypothesis("h1", "Friday.", FRIDAY), Hypothesis("h2", "Monday.", MONDAY)))
    monkeypatch.setattr(
        "hubel.agent.investigation.drivers.Compositional.move", lambda self, view: move
    )
    context = made_context(tmp_path)
    view = view_of(context)
    DialogueDriver(context, ScriptedExplainer({}), Penniless()).find_competitor(view)  # type: ignore[arg-type]
    competitor = context.log.get("competitor", TARGET)
    assert competitor is not None
    assert (competitor["id"], competitor["select"] > 0.9) == ("h2", True)
