"""`hubel eval` on whole runs of a tiny subject: the same numbers as the run's own, failures that stay failures."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
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
from hubel.agent.runlog.model_config import ModelConfig
from hubel.agent.runlog.reviews import Reviews
from hubel.agent.runlog.views import connect, target_rows
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config

TARGETS = ["mlp.0.0-5", "mlp.2.3-", "mlp.2.5-", "head.1.0"]
BY_PREDICATE = "simulation,simulation.ev,simulation.ad,detection,fuzzing,intruder,embedding,purity,discrimination"


@pytest.fixture(scope="module")
def finished(tiny_index: Path, tiny: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    make_run(
        folder,
        resolve(run_config(index=str(tiny_index), targets=TARGETS, explainer="compositional")),
    )
    execute_run(folder, subject=tiny)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    import shutil

    return Path(shutil.copytree(finished, tmp_path / "runs" / "run"))


@pytest.fixture
def loading(tiny: Subject, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Loads of the subject, which is the tiny one."""
    loaded: list[str] = []

    def load(name: str, **_: Any) -> Subject:
        loaded.append(name)
        return tiny

    monkeypatch.setattr("hubel.tools.subject.load_subject", load)
    return loaded


def eval_rows(
    capsys: pytest.CaptureFixture[str], *argv: str, status: int = 0
) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run_command_line(["eval", *argv, "--json", "-q"]) == status
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def numbers(row: Any) -> dict[tuple[str, str], Any]:
    """Scores by split and text; the run itself fills in the floor *other* for the verdict's score only."""
    for score in row["scores"]:
        if (score["split"], score["text"]) != ("holdout", "random"):
            score["floors"]["other"] = None
    return {(s["split"], s["text"]): s for s in row["scores"]}


@pytest.mark.slow
def test_scoring_a_run_again_gives_the_runs_own_numbers(
    run: Path, capsys, loading: list[str]
) -> None:
    evaluated = eval_rows(capsys, "run", "--runs", str(run.parent), "--scorers", "simulation")
    stored = target_rows(run)
    assert [r["target"] for r in evaluated] == [r["target"] for r in stored]
    for new, old in zip(evaluated, stored, strict=True):
        assert numbers(new) == numbers(old)
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


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "judge.json"


def test_a_judge_that_fails_leaves_failures_that_can_be_scored_again(
    run: Path, script: Path, capsys
) -> None:
    script.write_text(json.dumps([]))
    judge = ["--judge", f"scripted:{script}", "--scorers", "simulation,detection"]
    first = eval_rows(capsys, "run", "--runs", str(run.parent), *judge, status=4)
    failed = {r["target"] for r in first if r["failed_scores"]}
    assert failed
    assert all("detection" not in {s["scorer"] for s in r["scores"]} for r in first)
    assert all(s["value"] is not None for r in first for s in r["scores"])
    answers = [
        {"match": f"1 to {n}.", "answer": "\n".join(f"{i}: 1" for i in range(1, n + 1))}
        for n in range(50, 1, -1)
    ]
    script.write_text(json.dumps(answers))
    again = eval_rows(capsys, "run", "--runs", str(run.parent), *judge, "--retry-failed")
    for old, new in zip(first, again, strict=True):
        detection = [s for s in new["scores"] if s["scorer"] == "detection"]
        assert [s["value"] for s in detection] == ([0.5] if new["target"] in failed else [])
        assert [s for s in new["scores"] if s["scorer"] == "simulation"] == old["scores"]


def test_a_judges_answers_are_paid_for_once(run: Path, script: Path, capsys) -> None:
    args = ["run", "--runs", str(run.parent), "--scorers", "detection", "--judge", "constant:yes"]
    first = eval_rows(capsys, *args)
    calls = len([e for e in read_events(run) if e.event == "llm_call"])
    again = eval_rows(capsys, *args)
    assert calls > 0
    assert len([e for e in read_events(run) if e.event == "llm_call"]) == calls
    assert [r["scores"] for r in again] == [r["scores"] for r in first]
    with connect(run) as db:
        (tokens,) = db.execute("select sum(input_tokens) from llm_calls").fetchone() or (0,)
    assert tokens > 0


@pytest.mark.slow
def test_a_budget_stops_it_and_the_same_command_goes_on(run: Path, capsys) -> None:
    args = [
        "run",
        "--runs",
        str(run.parent),
        "--scorers",
        "simulation,detection",
        "--judge",
        "constant:yes",
    ]
    limit, side_by_side = 3, 2
    limited = [*args, "--max-calls", str(limit), "--concurrency", str(side_by_side)]
    new_calls, evaluated = list[int](), list[dict[str, Any]]()
    for _ in range(10):
        capsys.readouterr()
        status = run_command_line(["eval", *limited, "--json"])
        output = capsys.readouterr()
        evaluated = [json.loads(line) for line in output.out.splitlines()]
        new_calls.append(
            len([e for e in read_events(run) if e.event == "llm_call"]) - sum(new_calls)
        )
        if status == 0:
            break
        assert status == 3
        assert limit <= new_calls[-1] < limit + side_by_side
        pending = [r for r in evaluated if r["status"] == "pending"]
        assert all("3 calls" in r["error"] and not r["scores"] for r in pending)
        assert (
            f"{len(pending)} targets are not fully scored: the same command continues" in output.err
        )
    assert len(new_calls) > 2
    assert eval_rows(capsys, *args) == [
        r | {"seconds": pytest.approx(r["seconds"], abs=60)} for r in evaluated
    ]


def test_a_targets_budget_stops_that_target(run: Path, capsys) -> None:
    args = [
        "run",
        "--runs",
        str(run.parent),
        "--scorers",
        "detection,fuzzing",
        "--judge",
        "constant:yes",
    ]
    eval_rows(capsys, *args, "--target-max-calls", "1", status=3)
    targets = [e.target for e in read_events(run) if e.event == "llm_call"]
    assert len(targets) == len(set(targets)) > 2


def test_dollars_need_a_price(run: Path, capsys) -> None:
    command = [
        "eval",
        "run",
        "--runs",
        str(run.parent),
        "--judge",
        "openai:cheap",
        "--max-usd",
        "1",
    ]
    assert run_command_line(command) == 2
    assert "--judge-price" in capsys.readouterr().err


def write_csv(
    path: Path,
    table: list[tuple[Any, ...]],
    head: tuple[str, ...] = ("target", "text", "predicate"),
) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *table])
    return path


def test_a_table_is_scored_on_a_runs_text(
    run: Path, tmp_path: Path, capsys, tiny: Subject, loading
) -> None:
    stored = [r for r in target_rows(run) if r["predicate"]]
    table = write_csv(
        tmp_path / "mine.csv",
        [(r["target"], r["explanation"] or "", r["predicate"] or "") for r in stored],
    )
    evaluated = eval_rows(
        capsys, str(table), "--run", "run", "--runs", str(run.parent), "--scorers", "simulation"
    )
    for new, old in zip(evaluated, stored, strict=True):
        new_values = {(s["split"], s["text"]): s["value"] for s in new["scores"]}
        assert new_values == {(s["split"], s["text"]): s["value"] for s in old["scores"]}
        assert new["verdict"] is None


def test_words_alone_are_scored_by_a_judge_only(run: Path, tmp_path: Path, capsys, loading) -> None:
    table = tmp_path / "words.jsonl"
    table.write_text(json.dumps({"unit": "mlp.0.0", "explanation": "the word cat"}) + "\n")
    args = [
        str(table),
        "--run",
        "run",
        "--runs",
        str(run.parent),
        "--scorers",
        "simulation,detection,embedding",
    ]
    (row,) = eval_rows(capsys, *args)
    assert {s["scorer"] for s in row["scores"]} <= {"embedding"}
    assert all(
        "words only" in why
        for name, why in row["skipped"].items()
        if not name.startswith("embedding")
    )
    (row,) = eval_rows(capsys, *args, "--judge", "constant:no")
    assert {s["value"] for s in row["scores"] if s["scorer"] == "detection"} == {0.5}


def test_a_table_is_scored_on_an_index(tiny_index: Path, tmp_path: Path, capsys, loading) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = tmp_path / "t.parquet"
    columns = {
        "address": ["mlp.1.3", "mlp.1.4-"],
        "text": ["cat", "dog"],
        "predicate": ['strongly token(" cat")', None],
    }
    pq.write_table(pa.table(columns), table)
    args = [
        str(table),
        "--index",
        str(tiny_index),
        "--runs",
        str(tmp_path / "runs"),
        "--scorers",
        "simulation,embedding",
    ]
    evaluated = eval_rows(capsys, *args)
    assert [r["target"] for r in evaluated] == ["mlp.1.3", "mlp.1.4-"]
    assert {s["scorer"] for s in evaluated[0]["scores"]} >= {"simulation"}
    assert len(loading) <= 1


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
    assert len(loading) == 2


def test_a_new_explanation_after_viewing_is_kept_from_holdout(
    run: Path, tmp_path: Path, capsys, loading
) -> None:
    target = next(r["target"] for r in target_rows(run) if r["predicate"])
    Reviews(run).write("holdout_opened", target, {"name": "Ada"})
    table = write_csv(tmp_path / "t.csv", [(target, "cat", 'strongly token(" cat")')])
    (row,) = eval_rows(
        capsys, str(table), "--run", "run", "--runs", str(run.parent), "--scorers", "simulation"
    )
    assert row["after_viewing"] is True
    assert {s["split"] for s in row["scores"]} == {"select"}


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ([("mlp.0.99", "cat", "")], "t.csv:2 (mlp.0.99)"),
        ([("mlp.0.0", "", "")], "the text is empty"),
        ([("mlp.0.0", "  ", "")], "the text is empty"),
        ([("nonsense", "cat", "")], "t.csv:2 (nonsense)"),
        ([("mlp.0.0", "cat", "nonsense((")], "t.csv:2 (mlp.0.0)"),
        ([("mlp.0.0", "cat", ""), ("mlp.0.0", "dog", "")], "more than once"),
        ([], "has no rows"),
        ([("", "cat", "")], "t.csv:2 (no address)"),
    ],
)
def test_bad_tables_say_which_row_and_why(
    tiny_index: Path, tmp_path: Path, capsys, loading, table: list[tuple[str, ...]], problem: str
) -> None:
    path = write_csv(tmp_path / "t.csv", table)
    assert (
        run_command_line(["eval", str(path), "--index", str(tiny_index), "--runs", str(tmp_path)])
        == 2
    )
    assert problem in capsys.readouterr().err
    assert loading == []


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["nothing"], "no run 'nothing'"),
        (["nothing.csv", "--index", "x"], "no table"),
        (["run", "--scorers", "detectoin"], "no scorer 'detectoin'; known: detection"),
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


def test_the_page_and_the_tables_show_coverage_and_comparisons(
    run: Path, tmp_path: Path, capsys, loading
) -> None:
    stored = [r for r in target_rows(run) if r["predicate"]]
    worse = write_csv(
        tmp_path / "worse.csv",
        [(r["target"], "<b>cat</b>", 'strongly token(" cat")') for r in stored],
    )
    page = tmp_path / "page.html"
    argv = [
        "eval",
        str(worse),
        "--run",
        "run",
        "--runs",
        str(run.parent),
        "--html",
        str(page),
        "-q",
    ]
    assert run_command_line([*argv, "--scorers", "simulation,detection"]) == 0
    tables, html = capsys.readouterr().out, page.read_text()
    assert f"of {len(stored)} targets" in tables
    assert "<dd>predicate: 0 calls, 0 prompt tokens</dd>" in html
    assert "<b>cat</b>" not in html
    assert "&lt;b&gt;cat" in html
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "<svg" in html


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


def test_judging_side_by_side_gives_the_same_numbers(run: Path, tiny: Subject) -> None:
    source = open_source("run", run.parent)
    plan = RescoringPlan(
        scorers=("detection", "generative"), judge=ModelConfig("constant:yes"), concurrency=1
    )
    alone = evaluate(source, plan, subject=tiny)
    together = evaluate(source, replace(plan, concurrency=6), subject=tiny)
    assert any(row.scores for row in alone.rows)
    for one, other in zip(alone.rows, together.rows, strict=True):
        assert (one.explanation.target, one.scores) == (other.explanation.target, other.scores)


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
    assert sum(row.status == "done" for row in evaluated.values()) == len(source.explanations) - 1
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
