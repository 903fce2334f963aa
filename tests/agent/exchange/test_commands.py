"""`hubel export` and `hubel import`, and what the other commands say of an imported set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.exchange.from_run import set_of_run
from hubel.agent.exchange.imported import read_set
from hubel.agent.review.run_catalog import RunCatalog
from hubel.agent.runlog.layout import COLLECTED


def test_a_run_of_the_tiny_subject_goes_out_and_comes_back(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {unit.unit: unit for unit in set_of_run(finished)}
    for format in ("delphi", "neuronpedia", "openai", "jsonl"):
        out = tmp_path / f"out-{format}{'.jsonl' * (format == 'jsonl')}"
        assert run_command_line(["export", str(finished), "--to", format, "--out", str(out)]) == 0
        runs = ["--runs", str(tmp_path / "runs")]
        assert run_command_line(["import", str(out), "--name", format, *runs]) == 0
        for unit in read_set(tmp_path / "runs" / format):
            expected = {score.name: score.value for score in before[unit.unit].scores}
            if unit.sentence:
                assert {score.name: score.value for score in unit.scores} == expected
    assert "not in it, since delphi has no room for it" in capsys.readouterr().out


def test_no_text_of_select_or_holdout_leaves_a_run(example: Path, tmp_path: Path) -> None:
    """Without these files, the export is the same: they were not read."""
    for path in ("a", "b"):
        arguments = ["export", str(example), "--to", "delphi", "--out", str(tmp_path / path)]
        assert run_command_line(arguments) == 0
        for split in ("select", "holdout"):
            (example / COLLECTED / f"{split}.safetensors").unlink(missing_ok=True)
    files = sorted(
        p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()
    )
    assert files
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_commands_know_an_imported_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "t.csv"
    table.write_text('target,text\nmlp.1.2,about cats\nmlp.1.3,"strongly words(""cat"")"\n')
    runs = ["--runs", str(tmp_path / "runs")]
    assert run_command_line(["import", str(table), "--name", "theirs", *runs]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(
        "1 of 2 explanations are words only, which a judge has to read: hubel eval"
    )
    assert run_command_line(["runs", "--json", *runs]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["name"], row["targets"], row["done"], row["error"]) == ("theirs", 2, 2, None)
    for arguments, says in (
        (["show", "theirs"], "about cats"),
        (["show", "theirs", "mlp.1.2"], "a judge has to"),
    ):
        assert run_command_line([*arguments, *runs]) == 0
        assert says in capsys.readouterr().out
    assert run_command_line(["verify", "theirs", *runs]) == 0
    for command in ("resume", "replay", "report", "review"):
        assert run_command_line([command, "theirs", *runs]) == 2
        assert "was imported" in capsys.readouterr().err
    assert RunCatalog(tmp_path / "runs").names() == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["import", "nowhere", "--name", "x"], "no file or folder"),
        (["import", "nowhere", "--name", "../x"], "without a slash"),
        (["import", "nowhere", "--name", "x", "--as", "mlp"], "write MODULE=PLACE"),
        (["import", "nowhere", "--name", "x", "--from", "latex"], "written only"),
        (["export", "example-circuit", "--to", "csv", "--out", "x.csv"], "circuit run"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from .conftest import EXAMPLES

    monkeypatch.chdir(tmp_path)
    assert run_command_line([*arguments, "--runs", str(EXAMPLES)]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
