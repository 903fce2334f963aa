"""How messages name a run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hubel.agent.runlog.config import find_run
from hubel.agent.runlog.layout import CONFIG, new_run_name, run_argument


@pytest.mark.parametrize("given", [None, "elsewhere"])
def test_a_hint_names_a_run_so_that_the_command_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HUBEL_RUNS", raising=False)
    folder = Path(given or "runs") / "first"
    folder.mkdir(parents=True)
    (folder / CONFIG).touch()
    argument = run_argument(folder)
    assert argument == ("elsewhere/first" if given else "first")
    assert find_run(argument, Path("runs")).samefile(folder)


def test_runs_may_usually_be_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBEL_RUNS", str(tmp_path / "mine"))
    assert run_argument(tmp_path / "mine" / "first") == "first"
    assert run_argument(tmp_path / "my runs" / "first") == f"'{tmp_path}/my runs/first'"


def test_runs_that_start_in_the_same_second_have_different_names() -> None:
    names = {new_run_name("probe-") for _ in range(8)}
    assert len(names) >= 7  # of 65,536 endings
    assert all(re.fullmatch(r"probe-\d{8}-\d{6}-[0-9a-f]{4}", name) for name in names)
