"""`hubel show RUN --timing`, of runs that recorded their times and of those that did not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import hubel
from hubel.agent.cli.main import run_command_line
from hubel.agent.runlog.log import RunLog

EXAMPLE = Path(hubel.__file__).parent / "runs" / "example"


def test_phases_and_steps_of_a_run(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["show", str(finished), "--timing", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    phases = {row["phase"]: row for row in rows if "phase" in row}
    assert {"before", "collect", "explain", "verdicts"} <= set(phases)
    steps = [row["step"] for row in rows if "step" in row]
    assert "nearest units" in steps  # while the investigations run
    steps.remove("nearest units")
    assert steps == ["observe", "propose", "experiment", "select", "verify", "conclude"]
    assert all(row["execution"] == 1 for row in rows)
    cpu = sum(row["cpu_seconds"] for row in rows if "step" in row)
    assert 0 < cpu <= phases["explain"]["cpu_seconds"] + 0.1

    assert run_command_line(["show", str(finished), "--timing"]) == 0
    table = capsys.readouterr().out
    assert table.index("collect") < table.index("  observe") < table.index("in all")


def test_a_run_without_recorded_times_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old"
    old.mkdir()
    shutil.copy(EXAMPLE / "config.toml", old)
    log = RunLog(old)
    log.write("note", {}, id="1")
    log.close()
    assert run_command_line(["show", str(old), "--timing"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "the times of old are not recorded" in captured.err


def test_times_of_another_shape_are_one_line(finished: Path, tmp_path: Path, capsys) -> None:
    copy = Path(shutil.copytree(finished, tmp_path / "copy"))
    log = RunLog(copy)
    log.write("timing", {"phases": 3}, id="1")
    log.close()
    assert run_command_line(["show", str(copy), "--timing"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_target_has_no_timing(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["show", str(finished), "mlp.0.0", "--timing"]) == 2
    assert "--timing is about a whole run" in capsys.readouterr().err
