"""`hubel eval` on whole runs: the same numbers as the run's own, and failures that stay failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.rescoring.evaluate import evaluate
from hubel.agent.rescoring.plan import RescoringPlan
from hubel.agent.rescoring.scoring_tasks import TaskBuilder
from hubel.agent.rescoring.sources import open_source
from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.run.replay import replay
from hubel.agent.runlog.log import read_events
from hubel.agent.runlog.views import target_rows
from hubel.evals.scorers.registry import FORMULA_SCORERS
from hubel.tools.subject.subject import Subject
from tests.agent.rescoring.conftest import TARGETS, eval_rows
from tests.support.configs import run_config

PARTS = ("tier", "headline", "meaning", "residue", "bits", "r_per_bit", "reason")
BY_PREDICATE = "simulation,simulation.ev,simulation.ad,detection,fuzzing,intruder,embedding,purity,discrimination"


def numbers(row: Any) -> dict[tuple[str, str, str], Any]:
    """Scores by scorer, split and text; the run itself fills in the floor *other* for the verdict's
    score only."""
    for score in row["scores"]:
        if (score["split"], score["text"]) != ("holdout", "random"):
            score["floors"]["other"] = None
    return {(s["scorer"], s["split"], s["text"]): s for s in row["scores"] if s["scorer"] != "list"}


@pytest.mark.slow
def test_scoring_a_run_again_gives_the_runs_own_numbers(
    run: Path, capsys, loading: list[str]
) -> None:
    names = ",".join(("simulation", *FORMULA_SCORERS))
    evaluated = eval_rows(capsys, "run", "--runs", str(run.parent), "--scorers", names)
    stored = target_rows(run)
    assert [r["target"] for r in evaluated] == [r["target"] for r in stored]
    for new, old in zip(evaluated, stored, strict=True):
        scored, own = numbers(new), numbers(old)
        assert {key: scored[key] for key in own} == own
        on_select = {key for key in scored.keys() - own.keys() if key[1] == "select"}
        assert scored.keys() - own.keys() == on_select, "where a run scores no parts"
        assert all(new[key] == old[key] for key in PARTS)
        assert (new["verdict"], new["p"], new["explanation"]) == (
            old["verdict"],
            old["p"],
            old["explanation"],
        )
    assert loading == []  # no subject is needed


@pytest.mark.slow
def test_every_scorer_that_needs_no_subject_runs_on_a_run(
    run: Path, capsys, loading: list[str]
) -> None:
    evaluated = eval_rows(capsys, "run", "--runs", str(run.parent), "--scorers", BY_PREDICATE)
    done = [r for r in evaluated if r["predicate"]]
    assert done
    for row in done:
        named = {s["scorer"] for s in row["scores"]} | {
            name.partition("/")[0] for name in row["skipped"]
        }
        assert set(BY_PREDICATE.split(",")) <= named
        assert row["failures"] == {}
        assert row["calls"] == 0
    assert loading == []


@pytest.mark.slow
def test_what_is_scored_stands_in_the_log_and_nothing_else_changes(run: Path, capsys) -> None:
    before = target_rows(run)
    eval_rows(capsys, "run", "--runs", str(run.parent), "--scorers", "simulation,detection")
    events = [e for e in read_events(run) if e.event == "evaluation"]
    assert {e.data["scorer"] for e in events} == {"simulation", "detection"}
    assert {e.data["split"] for e in events} == {"select", "holdout"}
    assert target_rows(run) == before
    assert replay(run).mismatches == []


@pytest.mark.slow
def test_scorers_that_need_the_subject_load_it(run: Path, capsys, loading: list[str]) -> None:
    scorers = "generative,intervention,surprisal"
    evaluated = eval_rows(capsys, "run", "--runs", str(run.parent), "--scorers", scorers)
    assert len(loading) == 1
    values = [s for r in evaluated for s in r["scores"]]
    assert {s["scorer"] for s in values} == set(scorers.split(","))
    assert all(0 <= s["value"] <= 1 for s in values)


def test_a_run_is_scored_on_another_corpus(run: Path, tmp_path: Path, capsys, loading) -> None:
    other = tmp_path / "other.txt"
    other.write_text(
        "\n\n".join(
            f"{i} the cat said on Monday that the river is red and blue " * 8 for i in range(30)
        )
    )
    args = [
        "run",
        "--runs",
        str(run.parent),
        "--scorers",
        "simulation",
        "--corpus",
        str(other),
        "--contexts",
        "60",
    ]
    evaluated = eval_rows(capsys, *args)
    scored = [r for r in evaluated if r["scores"]]
    assert scored
    assert all(r["corpus"] == str(other) for r in evaluated)
    assert {s["split"] for r in scored for s in r["scores"]} == {"holdout"}
    assert eval_rows(capsys, *args)[0]["scores"] == evaluated[0]["scores"]
    assert len(loading) == 1  # what was collected is read again without the subject


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["nothing"], "no run 'nothing'"),
        (["nothing.csv", "--index", "x"], "no table"),
        (
            ["run", "--scorers", "detectoin"],
            "no scorer 'detectoin'; known: beyond_lookup, coverage, detection",
        ),
        (["run", "--judge", "gpt-9"], "no judge 'gpt-9'"),
        (["run", "--judge", "scripted:nowhere.json"], "no script"),
        (["run", "--contexts", "0"], "give at least 1"),
        (["run", "--run", "run"], "is a run itself"),
        (["run", "--corpus", "nowhere.txt"], "nowhere.txt"),
    ],
)
def test_wrong_use_says_what_to_do(
    run: Path, capsys, loading, argv: list[str], problem: str
) -> None:
    assert run_command_line(["eval", *argv, "--runs", str(run.parent), "-q"]) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.slow
def test_two_runs_are_compared_in_pairs(
    run: Path, tmp_path: Path, capsys, tiny_index: Path, tiny: Subject
) -> None:
    config = resolve(run_config(index=str(tiny_index), targets=TARGETS, explainer="ten-tokens"))
    make_run(run.parent / "tokens", config)
    execute_run(run.parent / "tokens", subject=tiny)
    page = tmp_path / "page.html"
    argv = [
        "eval",
        "run",
        "tokens",
        "--runs",
        str(run.parent),
        "--html",
        str(page),
        "-q",
        "--scorers",
        "simulation",
    ]
    assert run_command_line(argv) == 0
    assert "run - tokens" in capsys.readouterr().out
    assert "Compared on the same targets" in page.read_text()


@pytest.mark.slow
def test_evaluating_is_the_same_twice(run: Path, tiny: Subject) -> None:
    source = open_source("run", run.parent)
    plan = RescoringPlan(("detection", "fuzzing", "intruder", "generative", "intervention"))
    once, again = (evaluate(source, plan, subject=tiny) for _ in range(2))
    assert [r.scores for r in once.rows] == [r.scores for r in again.rows]


def test_a_defect_costs_one_target_and_no_other(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source("run", run.parent)
    broken = source.explanations[1].target
    plan = RescoringPlan(scorers=("simulation",))
    score = TaskBuilder.build

    def defective(self: TaskBuilder, explanation: Any, *rest: Any) -> Any:
        if explanation.target == broken:
            raise ZeroDivisionError("by a defect")
        return score(self, explanation, *rest)

    monkeypatch.setattr(TaskBuilder, "build", defective)
    evaluated = {row.explanation.target: row for row in evaluate(source, plan).rows}
    assert evaluated[broken].status == "failed"
    assert "by a defect" in evaluated[broken].error
    assert evaluated[broken].scores == []
    others = [evaluated[e.target].status for e in source.explanations if e.target != broken]
    assert set(others) == {"done"}
    (failure,) = [e for e in read_events(run) if e.event == "evaluation_failure"]
    assert "ZeroDivisionError" in failure.data["traceback"]
    monkeypatch.undo()
    assert all(
        row.status == "done" for row in evaluate(source, plan).rows if row.explanation.sentence
    )


def test_what_an_evaluation_wrote_is_sealed(run: Path) -> None:
    evaluate(open_source("run", run.parent), RescoringPlan(scorers=("simulation",)))
    assert list((run / "events").glob("*.jsonl")) == []
    assert any(e.event == "evaluation" for e in read_events(run))
