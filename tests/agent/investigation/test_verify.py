"""Holdout is read once per target, for one hypothesis; the floor *other* is added when all have ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.explainers.protocol import Hypothesis
from hubel.agent.investigation.conclude import conclude_target, decide_run
from hubel.agent.investigation.verify import COMPETITOR, verify_target
from hubel.agent.runlog.model_config import ModelConfig
from hubel.evals.judge.protocol import JudgeError
from hubel.tools.errors import CorruptError
from tests.support.made_investigation import FRIDAY, MONDAY, made_context

WINNER = Hypothesis("h1", "Fires on Mondays.", MONDAY)
IN_WORDS = Hypothesis("h1", "Fires on Mondays.", None)


def test_the_winner_is_scored_on_select_and_holdout(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    verify_target(context, context.units["mlp.0.0"], WINNER)
    scores = context.log.all("score", "mlp.0.0")
    assert set(scores) == {
        f"h1/simulation/{split}/{text}"
        for split in ("select", "holdout")
        for text in ("random", "top_and_random")
    }
    select, holdout = (scores[f"h1/simulation/{s}/random"] for s in ("select", "holdout"))
    assert holdout["value"] > 0.9
    assert holdout["value"] != select["value"]
    evidence = context.log.get("evidence", "mlp.0.0")
    assert evidence is not None
    assert (evidence["hypothesis"], evidence["p"] < 0.05) == ("h1", True)


def test_a_second_hypothesis_is_not_scored_on_holdout(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    unit = context.units["mlp.0.0"]
    verify_target(context, unit, WINNER)
    with pytest.raises(CorruptError, match="holdout was read for hypothesis h1"):
        verify_target(context, unit, Hypothesis("h2", "Fires on Fridays.", FRIDAY))
    verify_target(context, unit, WINNER)  # a step that was interrupted is done again


def test_a_viewed_target_is_scored_on_select_alone(tmp_path: Path) -> None:
    context = made_context(tmp_path, after_viewing=True)
    verify_target(context, context.units["mlp.0.0"], WINNER)
    scores = context.log.all("score", "mlp.0.0").values()
    assert {score["split"] for score in scores} == {"select"}
    assert context.log.get("evidence", "mlp.0.0") is None


def test_words_that_nobody_can_simulate_get_no_score(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    verify_target(context, context.units["mlp.0.0"], IN_WORDS)
    assert context.log.all("score", "mlp.0.0") == {}


def test_the_competitor_is_scored_on_the_same_text(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    context.log.write("competitor", {"predicate": FRIDAY, "select": 0.1}, target="mlp.0.0")
    verify_target(context, context.units["mlp.0.0"], WINNER)
    scores = context.log.all("score", "mlp.0.0")
    assert scores[f"h1/{COMPETITOR}/holdout/random"]["value"] < 0.1
    assert scores["h1/simulation/holdout/random"]["value"] > 0.9


def test_verdicts_fall_when_all_have_ended_and_other_is_another_units_explanation(
    tmp_path: Path,
) -> None:
    context = made_context(tmp_path)
    log, units = context.log, context.units
    for target, printed in (("mlp.0.0", MONDAY), ("mlp.0.1", FRIDAY)):
        winner = Hypothesis("h1", "Fires on a day.", printed)
        verify_target(context, units[target], winner)
        conclude_target(context, units[target], winner, "")
    conclude_target(context, units["mlp.1.0-"], None, "it is noise to me")
    log.write("failure", {"error": "no more memory"}, target="head.0.0")
    decide_run(tmp_path, context.config, log, context.data.lexicon)

    verdicts = log.get("verdicts")
    assert verdicts is not None
    rows = {row["target"]: row for row in verdicts["rows"]}
    assert [rows[target]["verdict"] for target in units][2:] == ["inconclusive", None]
    score = log.get("score", "mlp.0.0", "h1/simulation/holdout/random")
    assert score is not None
    assert score["floors"]["other"] < 0.1, "Friday's explanation, the only other one of the layer"


def test_a_conclusion_says_what_it_took(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    log, unit = context.log, context.units["mlp.0.0"]
    log.write("call", {"seconds": 1.5}, target="mlp.0.0", id="a")
    log.write("llm_call", {"seconds": 2.0, "usd": 0.25}, target="mlp.0.0", id="b")
    conclude_target(context, unit, WINNER, "")
    conclusion = log.get("conclusion", "mlp.0.0")
    assert conclusion is not None
    taken = [conclusion[key] for key in ("seconds", "calls", "usd", "cannot_explain")]
    assert taken == [3.5, 1, 0.25, ""]
    log.write("llm_call", {"seconds": 1.0, "usd": None}, target="mlp.0.0", id="c")
    conclude_target(context, unit, None, "noise")
    conclusion = log.get("conclusion", "mlp.0.0")
    assert conclusion is not None
    assert (conclusion["usd"], conclusion["cannot_explain"]) == (None, "noise")


class Reader:
    """A simulator that keeps what it was asked, and does not answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask(self, request: Any) -> Any:
        self.asked.append(str(request))
        raise JudgeError("nobody answers")


@pytest.mark.parametrize(("gist", "read"), [("days of work", "days of work"), ("", "on Mondays")])
def test_readers_get_the_models_own_words_or_else_the_sentence(
    tmp_path: Path, gist: str, read: str
) -> None:
    context: Any = made_context(tmp_path, simulator=ModelConfig("openai:test"))
    context.judges._chats = {"simulator": (reader := Reader())}
    verify_target(context, context.units["mlp.0.0"], replace(WINNER, gist=gist))
    assert reader.asked
    assert all(read in text for text in reader.asked)
    assert ("on Mondays" in reader.asked[0]) is (not gist)
