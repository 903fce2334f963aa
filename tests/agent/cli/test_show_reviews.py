"""What people said of a run, printed and exported."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.runlog.config import RunConfig
from hubel.agent.runlog.reviews import Reviews

TARGET = "mlp.0.0"


@pytest.fixture
def reviewed(finished: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(finished, tmp_path / "runs" / "run"))
    reviews = Reviews(folder)
    empty = {"text": None, "predicate": None, "note": None, "after_viewing": False, "score": None}
    taken_back = reviews.write("review", TARGET, {**empty, "verdict": "reject", "name": "Ada"})
    reviews.write("review_undone", TARGET, {"of": taken_back.id, "name": "Ada"})
    edit = {
        "verdict": "edit",
        "name": "Grace",
        "text": "=cmd|' /C calc'!A0",
        "score": {"value": -0.25},
    }
    reviews.write("review", TARGET, {**empty, **edit})
    return folder


def printed(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert run_command_line(list(command)) == 0
    return capsys.readouterr().out


def test_json_of_targets_has_their_reviews(
    reviewed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = ("--runs", str(reviewed.parent))
    rows = [
        json.loads(line) for line in printed(capsys, "show", "run", "--json", *runs).splitlines()
    ]
    assert all(isinstance(row["reviews"], list) for row in rows)
    by_target = {row["target"]: row["reviews"] for row in rows}
    assert [review["name"] for review in by_target[TARGET]] == ["Grace"]
    one = json.loads(printed(capsys, "show", "run", TARGET, "--json", *runs))
    assert one["reviews"] == by_target[TARGET]


def test_reviews_are_exported_as_lines_and_as_csv(
    reviewed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("show", "run", "--reviews", "--runs", str(reviewed.parent))
    line = json.loads(printed(capsys, *command, "--json"))
    assert (line["target"], line["verdict"], line["score"]["value"]) == (TARGET, "edit", -0.25)
    rows = list(csv.DictReader(io.StringIO(printed(capsys, *command, "--csv"))))
    assert [row["name"] for row in rows] == ["Grace"]
    assert rows[0]["text"] == "'=cmd|' /C calc'!A0"  # a spreadsheet shows it and runs nothing
    assert rows[0]["select_r"] == "-0.25"
    assert "Grace" in printed(capsys, *command)
    assert "Grace" in printed(capsys, "show", "run", TARGET, "--runs", str(reviewed.parent))
    other = RunConfig.load(reviewed).targets[-1]
    assert "no reviews" in printed(capsys, "show", "run", other, *command[2:])


def test_csv_is_refused_where_there_is_none(
    reviewed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in (["--csv"], ["--csv", "--json", "--reviews"]):
        assert run_command_line(["show", "run", *options, "--runs", str(reviewed.parent)]) == 2
        assert "--csv" in capsys.readouterr().err


def test_misshapen_review_is_named(reviewed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Reviews(reviewed).write("review", TARGET, {"verdict": 5, "name": "Eve"})
    assert run_command_line(["show", "run", "--reviews", "--runs", str(reviewed.parent)]) == 1
    error = capsys.readouterr().err
    assert "verdict is 5, where text is expected" in error
    assert error.count("\n") == 1
