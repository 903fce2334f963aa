"""The engine in this process: the protocol on real files."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubel.agent.engine import EngineChoice, UnfitWorker, Worker, open_engine
from hubel.agent.engine.worker import MOST_KEPT, SubjectChoice
from hubel.tools.errors import ArgumentError
from hubel.tools.subject import Subject
from tests.support.pieces import Add, Square


def test_pieces_end_each_with_its_outcome_and_are_not_done_again(tmp_path: Path) -> None:
    pieces = [Square(tmp_path, 1), Square(tmp_path, 2, fault="fails"), Square(tmp_path, 3)]
    with open_engine(EngineChoice(), tmp_path) as engine:
        outcomes = list(engine.run(iter(pieces)))
        assert [outcome.error.partition(";")[0] for outcome in outcomes] == [
            "",
            "2 has no square",
            "",
        ]
        written = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.txt")}
        assert set(written) == {"square-1.txt", "square-3.txt"}
        again = list(engine.run([Square(tmp_path, 1), Square(tmp_path, 2)]))
        assert [(outcome.error, outcome.where) for outcome in again] == [
            ("", ""),
            ("", "this process"),
        ]
        assert (tmp_path / "square-1.txt").stat().st_mtime_ns == written["square-1.txt"]


def test_a_call_raises_what_was_raised(tmp_path: Path) -> None:
    with open_engine(EngineChoice(), tmp_path) as engine:
        assert engine.call(Add(2, 3))["sum"] == 5
        with pytest.raises(ArgumentError, match="-1, 3 given"):
            engine.call(Add(-1, 3))


def test_a_worker_keeps_what_was_used_last() -> None:
    worker = Worker()
    made: list[str] = []
    for name in ("a", *(str(n) for n in range(MOST_KEPT - 1)), "a", "more", "a", "0"):
        worker.keep(name, lambda name=name: made.append(name))
    assert made == ["a", *(str(n) for n in range(MOST_KEPT - 1)), "more", "0"]


def test_a_worker_gives_the_subject_at_hand_and_refuses_another_revision(
    tiny: Subject, tmp_path: Path
) -> None:
    worker = Worker(subject=tiny)
    assert worker.subject(SubjectChoice("any", tiny.revision)) is tiny
    assert worker.subject_at_hand(tiny.revision) is tiny
    assert worker.subject_at_hand("other") is None
    with pytest.raises(UnfitWorker, match=r"this process: .*none-here"):
        worker.subject(SubjectChoice(str(tmp_path / "none-here"), "other"))
