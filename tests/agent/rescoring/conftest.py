"""A finished run to score again, and `hubel eval` on it."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config

TARGETS = ["mlp.0.0-5", "mlp.2.3-", "mlp.2.5-", "head.1.0"]


@pytest.fixture(scope="session")
def explained_run(
    tiny_index: Path, tiny: Subject, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run; tests copy it."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    make_run(
        folder,
        resolve(run_config(index=str(tiny_index), targets=TARGETS, explainer="compositional")),
    )
    execute_run(folder, subject=tiny)
    return folder


@pytest.fixture
def run(explained_run: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(explained_run, tmp_path / "runs" / "run"))


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
    """What `hubel eval` prints, parsed."""
    capsys.readouterr()
    assert run_command_line(["eval", *argv, "--json", "-q"]) == status
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def write_csv(path: Path, rows: list[tuple[Any, ...]]) -> Path:
    """Write a table of targets, texts and predicates."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("target", "text", "predicate"), *rows])
    return path
