"""A language model's own words for a unit: shown as text by everything that shows the unit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.llm.conversation import Reply, Request
from hubel.agent.rescoring.evaluation_log import EVENT
from hubel.agent.rescoring.sources import open_source
from hubel.agent.review.report import write_report
from hubel.agent.review.run_catalog import RunCatalog
from hubel.agent.review.store.fill import fill
from hubel.agent.review.target_page import target_page
from hubel.agent.run.replay import replay
from hubel.agent.runlog.log import read_events
from hubel.agent.runlog.views import target_rows
from tests.support.language_model_runs import RunModel
from tests.support.scripted_model import ScriptedModel, is_second_look, reply, turn_of

GIST = "the article </script><script>window.hacked=1</script> \x1b[31mred"
ANYTHING = {"predicts": "within", "low": -1e6, "high": 1e6}


def naming(number: int, request: Request) -> Reply:
    if is_second_look(request):
        return reply(("challenge", {"experiments": [ANYTHING | {"text": "a year of a cat"}]}))
    if turn_of(request) == 0:
        first = {"gist": GIST, "predicate": 'strongly words("the")'}
        sure = [
            {"hypothesis": "h1", "text": f"the red {n} river", "focus": "red"} | ANYTHING
            for n in range(6)
        ]
        quiet = [one | {"high": -1e5, "text": f"{one['text']} bank"} for one in sure[:3]]
        return reply(
            ("propose", {"hypotheses": [first]}), ("experiment", {"experiments": sure + quiet})
        )
    return reply(("conclude", {"hypothesis": "h1", "findings": "It is the article."}))


def test_gist_is_shown_beside_the_sentence_and_is_never_markup(
    run_model: RunModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, result = run_model(ScriptedModel(naming))
    assert result.done == 1
    (row,) = target_rows(folder)
    assert (row["gist"], row["explanation"]) == (GIST, 'Fires on "the".')
    # 1. the terminal
    assert run_command_line(["show", str(folder), "mlp.0.0"]) == 0
    printed = capsys.readouterr().out
    (line,) = (line for line in printed.splitlines() if line.startswith("  in the model's words: "))
    assert "window.hacked=1" in line
    assert "\x1b" not in printed
    # 2. the page, and the report that has its answers
    run = RunCatalog(folder.parent).run(folder.name)
    fill(run.store)
    page = target_page(run, "mlp.0.0")
    assert page["gist"] == GIST
    assert [one["gist"] for one in page["hypotheses"]] == [GIST]
    report = write_report(folder, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>window.hacked" not in report
    assert json.dumps(GIST)[1:-1].replace("<", "\\u003c") in report
    # 3. a replay
    assert [row["gist"] for row in replay(folder).rows] == [GIST]


def test_run_without_a_language_model_has_no_gist(finished: Path) -> None:
    assert {row["gist"] for row in target_rows(finished)} == {None}


def test_a_judge_is_told_the_gist_again_by_eval(run_model: RunModel) -> None:
    folder, _ = run_model(ScriptedModel(naming))
    before = len(list(read_events(folder)))
    command = ["eval", str(folder), "--scorers", "detection", "--judge", "constant:yes", "-q"]
    assert run_command_line(command) == 0
    (scored,) = [event.data for event in list(read_events(folder))[before:] if event.event == EVENT]
    assert (scored["explanation"], scored["predicate"]) == (
        GIST,
        'strongly words("the"); step 1.0, rest 0.0',
    )
    source = open_source(folder.name, folder.parent)
    assert [one.sentence for one in source.explanations] == ['Fires on "the".']  # as it is listed
