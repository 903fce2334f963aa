"""A damaged database of checkpoints costs nothing: the journal has every answer."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.run.checkpoints import checkpoint_problem
from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.runlog.log import read_events
from hubel.agent.runlog.progress import Reporter, StepProgress
from hubel.agent.runlog.views import TargetRow, target_rows
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config
from tests.support.finished_run import FINISHED


class Interrupting(Reporter):
    """Interrupts the run when its first target has ended."""

    def show(self, current: StepProgress) -> None:
        if current.step == "explain" and current.done:
            raise KeyboardInterrupt


class Listening(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="module")
def interrupted(tiny: Subject, tiny_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of five targets that was interrupted after the first."""
    folder = tmp_path_factory.mktemp("runs") / "interrupted"
    make_run(folder, resolve(run_config(index=str(tiny_index), concurrency=1, **FINISHED)))
    with pytest.raises(KeyboardInterrupt):
        execute_run(folder, subject=tiny, reporter=Interrupting())
    return folder


def timeless(folder: Path) -> list[dict[str, Any]]:
    rows: list[TargetRow] = target_rows(folder)
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def resume_and_compare(
    folder: Path, finished: Path, subject: Subject, reporter: Reporter | None = None
) -> None:
    asked = {(e.target, e.id) for e in read_events(folder) if e.event == "explainer_call"}
    execute_run(folder, subject=subject, reporter=reporter)
    assert timeless(folder) == timeless(finished)
    again = [(e.target, e.id) for e in read_events(folder) if e.event == "explainer_call"]
    assert asked <= set(again)
    assert len(again) == len(set(again)), "no answer was asked for twice"


@pytest.mark.parametrize("damage", ["cut", "overwritten", "a value"])
def test_a_damaged_database_is_left_and_said(
    interrupted: Path, finished: Path, tiny: Subject, tmp_path: Path, damage: str
) -> None:
    folder = Path(shutil.copytree(interrupted, tmp_path / "run"))
    path, listening = folder / "checkpoints.sqlite", Listening()
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "overwritten":
        path.write_bytes(b"no database")
    else:
        with sqlite3.connect(path) as database:
            row, value = database.execute("select rowid, checkpoint from checkpoints").fetchone()
            changed = bytes([*value[:40], value[40] ^ 1, *value[41:]])
            database.execute(
                "update checkpoints set checkpoint = ? where rowid = ?", [changed, row]
            )
        database.close()
    resume_and_compare(folder, finished, tiny, listening)
    assert any("going on without it, from the journal" in line for line in listening.said)


def test_no_flipped_bit_is_read_as_another_state(interrupted: Path, tmp_path: Path) -> None:
    assert checkpoint_problem(interrupted) == ""
    folder = Path(shutil.copytree(interrupted, tmp_path / "run"))
    path, rng = folder / "checkpoints.sqlite", random.Random(0)
    with sqlite3.connect(path) as database:
        (value,) = database.execute("select checkpoint from checkpoints").fetchone()
    database.close()
    content = path.read_bytes()
    start = content.index(value)
    for at in range(start, start + len(value), 3):
        flipped = bytearray(content)
        flipped[at] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        assert checkpoint_problem(folder), f"byte {at - start} of a value"
