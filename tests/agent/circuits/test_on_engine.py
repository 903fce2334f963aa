"""A circuit run on an engine's workers has the log of a run in one process, whatever is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.circuits.run import execute_circuit_run, make_circuit_run
from hubel.agent.engine import (
    EngineChoice,
    LocalEngine,
    PieceOutcome,
    UnfitWorker,
    Worker,
    open_engine,
)
from hubel.agent.runlog.layout import CIRCUIT, CIRCUIT_ARRAYS, PIECES
from hubel.agent.runlog.log import read_events
from hubel.tools.errors import CorruptError
from tests.support.configs import circuit_config
from tests.support.induction import induction_subject, save_loadable, write_pairs

SETTINGS: dict[str, Any] = {
    "subject": "induction-by-hand",
    "discovery": 16,
    "heldout": 16,
    "steps": 3,
    "nodes": 4,
    "rounds": 1,
    "share": 0.2,
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_pairs(tmp_path_factory.mktemp("pairs") / "induction.jsonl"))


@pytest.fixture(scope="module")
def one_process(pairs: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = new_run(tmp_path_factory.mktemp("runs") / "run", pairs)
    execute_circuit_run(folder, subject=induction_subject())
    return folder


def new_run(folder: Path, task: str, **settings: Any) -> Path:
    make_circuit_run(folder, circuit_config(task=task, **SETTINGS | settings))
    return folder


def rows(folder: Path) -> list[tuple[Any, ...]]:
    """All events of the log, in their order."""
    return [(e.event, e.target, e.id, e.data) for e in read_events(folder)]


def assert_same_run(folder: Path, expected: Path) -> None:
    """The same rows in the same order, and the same bytes of all files."""
    assert rows(folder) == rows(expected)
    for name in (
        CIRCUIT,
        *(f"{CIRCUIT_ARRAYS}/{p.name}" for p in (expected / CIRCUIT_ARRAYS).iterdir()),
    ):
        assert (folder / name).read_bytes() == (expected / name).read_bytes()
    assert not (folder / PIECES).exists(), "what the log has is not kept twice"


class DiesAfter(LocalEngine):
    """Ends the command after some pieces; the next one is measured, and not yet read."""

    def __init__(self, worker: Worker, pieces: int) -> None:
        super().__init__(worker)
        self.left = pieces

    def run(self, pieces: Any) -> Iterator[PieceOutcome]:
        for outcome in super().run(pieces):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            yield outcome


def test_a_killed_run_on_workers_ends_like_one_in_one_process(
    pairs: str, one_process: Path, tmp_path: Path
) -> None:
    subject = induction_subject()
    folder = new_run(tmp_path / "run", pairs)
    measured = 0
    for pieces in (3, 40):  # among the first measurements, and among those of held-out prompts
        with pytest.raises(KeyboardInterrupt):
            execute_circuit_run(
                folder, subject=subject, engine=DiesAfter(Worker(subject=subject), pieces)
            )
        assert len(list((folder / PIECES).iterdir())) > 0
        measured += pieces + 1
    rest = DiesAfter(Worker(subject=subject), 10**9)
    execute_circuit_run(folder, subject=subject, engine=rest)
    assert_same_run(folder, one_process)
    whole = DiesAfter(Worker(subject=subject), 10**9)
    execute_circuit_run(new_run(tmp_path / "whole" / "run", pairs), subject=subject, engine=whole)
    assert_same_run(tmp_path / "whole" / "run", one_process)
    assert 10**9 - whole.left == measured + 10**9 - rest.left, "a piece was measured twice"


def test_the_process_that_holds_a_run_needs_no_subject(
    pairs: str, one_process: Path, tmp_path: Path
) -> None:
    folder, worker = new_run(tmp_path / "run", pairs), Worker(subject=induction_subject())
    with pytest.raises(KeyboardInterrupt):
        execute_circuit_run(folder, subject=induction_subject(), engine=DiesAfter(worker, 10))
    execute_circuit_run(folder, engine=LocalEngine(worker))  # no subject of that name can be loaded
    assert_same_run(folder, one_process)


def test_a_run_may_go_on_without_the_engine(pairs: str, one_process: Path, tmp_path: Path) -> None:
    subject = induction_subject()
    folder = new_run(tmp_path / "run", pairs)
    with pytest.raises(KeyboardInterrupt):
        execute_circuit_run(folder, subject=subject, engine=DiesAfter(Worker(subject=subject), 30))
    execute_circuit_run(folder, subject=subject)
    assert_same_run(folder, one_process)


def test_a_damaged_value_is_refused_in_one_line(pairs: str, tmp_path: Path) -> None:
    class Damaging(LocalEngine):
        def run(self, pieces: Any) -> Iterator[PieceOutcome]:
            for outcome in super().run(pieces):
                output = outcome.piece.output
                output.write_bytes(output.read_bytes().replace(b"[", b"{", 1))
                yield outcome

    subject = induction_subject()
    folder = new_run(tmp_path / "run", pairs)
    with pytest.raises(CorruptError, match="not what a worker wrote: delete it") as refusal:
        execute_circuit_run(folder, subject=subject, engine=Damaging(Worker(subject=subject)))
    assert "\n" not in str(refusal.value)


def test_a_worker_with_other_weights_measures_nothing(pairs: str, tmp_path: Path) -> None:
    other = save_loadable(tmp_path / "subject")
    folder = new_run(tmp_path / "run", pairs, subject=other)
    with pytest.raises(UnfitWorker, match=r"this process: .*weights") as refusal:
        execute_circuit_run(folder, subject=induction_subject(), engine=LocalEngine())
    assert "\n" not in str(refusal.value)


class KillsAWorker:
    """An engine one of whose workers is killed by force, in the middle of the first pieces."""

    def __init__(self, engine: Any) -> None:
        self._engine, self._alive = engine, True
        self.workers = engine.workers

    @property
    def note(self) -> str:
        return self._engine.note

    def run(self, pieces: Any) -> Iterator[PieceOutcome]:
        for outcome in self._engine.run(pieces):
            if self._alive:
                os.kill(self._engine.living()[0].pid, signal.SIGKILL)
                self._alive = False
            yield outcome

    def call(self, request: Any) -> Any:
        return self._engine.call(request)

    def close(self) -> None:
        self._engine.close()


@pytest.mark.slow
def test_a_run_on_ray_whose_worker_is_killed_has_the_same_log(pairs: str, tmp_path: Path) -> None:
    pytest.importorskip(
        "ray", reason="the engine of several machines is Ray: pip install 'hubel[ray]'"
    )
    subject = save_loadable(tmp_path / "subject")
    local, remote = (
        new_run(tmp_path / name / "run", pairs, subject=subject) for name in ("local", "remote")
    )
    execute_circuit_run(local)
    with open_engine(EngineChoice("ray", workers=2), remote / PIECES) as engine:
        execute_circuit_run(remote, engine=KillsAWorker(engine))
        assert "1 worker died" in engine.note
    assert_same_run(remote, local)
