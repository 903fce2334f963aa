"""A damaged run says so in its row and nowhere else; nothing waits, and no memory is filled."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.review.run_catalog import RunCatalog
from tests.agent.review.conftest import ReviewClient, serving
from tests.support.damaged_runs import DAMAGE, make_damaged_runs

SHOWN_ALL_THE_SAME = {
    name
    for name in DAMAGE
    if name.startswith(
        (
            "lexicon",
            "activations",
            "circuit_lacks",
            "lock",
            "suite",
            "reviews_are",
            "events",
            "segment_is_zeros",
        )
    )
}
"""Damage that only the pages of targets, or commands that write to the run, have to mention."""


@pytest.fixture(scope="module")
def runs(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("damaged") / "runs"
    shutil.copytree(finished, runs / "good")
    make_damaged_runs(runs, finished)
    return runs


@pytest.fixture(scope="module")
def site(runs: Path) -> Iterator[ReviewClient]:
    with serving(RunCatalog(runs)) as client:
        yield client


def test_list_of_runs_shows_each_damage_in_its_row(site: ReviewClient) -> None:
    rows = {row["name"]: row for row in site.get("/api/runs").json["runs"]}
    assert rows["good"]["state"] == "done"
    assert set(rows) == {"good", *DAMAGE, "only-a-circuit"}
    for name in {*rows} - {"good"} - SHOWN_ALL_THE_SAME:
        assert rows[name]["state"] == "unreadable", rows[name]
        assert rows[name]["notice"]


def test_run_is_read_again_when_it_was_repaired(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "runs" / "run"))
    extra = folder / "events" / "0009-1.jsonl"
    extra.write_text("nonsense\n")
    with serving(RunCatalog(folder.parent)) as client:
        for _ in range(2):
            assert client.get("/api/runs").json["runs"][0]["state"] == "unreadable"
        extra.unlink()
        assert client.get("/api/runs").json["runs"][0]["state"] == "done"


@pytest.mark.parametrize("name", [*DAMAGE, "only-a-circuit"])
def test_pages_of_a_damaged_run_say_what_is_wrong(site: ReviewClient, name: str) -> None:
    base = f"/api/runs/{name}"
    for path in (
        "",
        "/targets",
        "/targets/mlp.0.0",
        "/targets/mlp.0.0/predicted",
        "/circuit",
        "/search?q=a",
    ):
        answer = site.get(base + path)
        assert answer.status < 500, (path, answer)
        assert answer.status == 200 or answer.json["error"]
    assert site.get(f"/api/compare?a=good&b={name}").status < 500
    assert site.get(f"/api/events?run={name}").status == 200


def test_terminal_lists_each_damage_in_its_row(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["runs", "--runs", str(runs)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for name in (*DAMAGE, "only-a-circuit", "good"):
        assert f"\n {name} " in printed.out
    assert "a-file" not in printed.out


@pytest.mark.parametrize("command", ["show", "report"])
@pytest.mark.parametrize(
    "name", [*DAMAGE, "only-a-circuit", "empty", "a-file", "dangling", "loop", "\ud800", "x" * 5000]
)
def test_terminal_says_in_one_line_what_is_wrong(
    runs: Path, command: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run_command_line([command, name, "--runs", str(runs)])
    error = capsys.readouterr().err
    assert status == 0 or (error.startswith("hubel: ") and error.count("\n") == 1), error
    assert status == 0 or name in SHOWN_ALL_THE_SAME or len(error) > 30


def test_ten_thousand_empty_folders_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(10_000):
        (tmp_path / f"{number}").mkdir()
    assert run_command_line(["runs", "--runs", str(tmp_path)]) == 0
    assert "no runs" in capsys.readouterr().out
    assert RunCatalog(tmp_path).names() == []
