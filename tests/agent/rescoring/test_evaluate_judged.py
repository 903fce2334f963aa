"""`hubel eval` with a judge: failures that can be scored again, answers paid for once, budgets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.rescoring.evaluate import evaluate
from hubel.agent.rescoring.plan import RescoringPlan
from hubel.agent.rescoring.sources import open_source
from hubel.agent.runlog.log import read_events
from hubel.agent.runlog.model_config import ModelConfig
from hubel.agent.runlog.views import connect
from hubel.tools.subject.subject import Subject
from tests.agent.rescoring.conftest import eval_rows


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
        assert "not fully scored: the same command continues" in output.err
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
