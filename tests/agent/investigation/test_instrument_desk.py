"""Instrument calls are journaled, faults of a model's call are its answer, and look-ups do not wait."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hubel.agent.explainers.protocol import Call
from hubel.agent.investigation.instrument_desk import InstrumentDesk
from hubel.agent.runlog.bottleneck import WaitTimes
from hubel.agent.runlog.journal import Journal
from hubel.agent.runlog.log import RunLog
from hubel.tools.errors import ArgumentError, CorruptError
from hubel.tools.instruments import InstrumentContext
from hubel.tools.subject.address import Unit
from hubel.tools.subject.subject import Subject

UNIT = Unit("mlp", 1, 3)
LENS = {"unit": "mlp.1.3", "k": 3}


def desk_of(folder: Path, subject: Subject | None) -> InstrumentDesk:
    context = InstrumentContext(subject=subject) if subject else None
    return InstrumentDesk(Journal(RunLog(folder)), context, None, WaitTimes())


def test_what_was_called_once_needs_no_subject_again(tiny: Subject, tmp_path: Path) -> None:
    result = desk_of(tmp_path, tiny).call(UNIT, "logit_lens", LENS)
    replayed = desk_of(tmp_path, None)
    assert replayed.call(UNIT, "logit_lens", LENS) == result
    with pytest.raises(CorruptError, match="the journal holds no result of logit_lens"):
        replayed.call(UNIT, "logit_lens", LENS | {"k": 4})


def test_an_invalid_call_is_answered_to_a_model_and_raised_to_a_program(
    tiny: Subject, tmp_path: Path
) -> None:
    desk = desk_of(tmp_path, tiny)
    wrong = {"unit": "mlp.1.3", "depth": 1}
    answer = desk.call_for_model(UNIT, "logit_lens", wrong)
    assert answer["error"]
    assert "depth" in answer["text"]
    with pytest.raises(ArgumentError, match="depth"):
        desk.call(UNIT, "logit_lens", wrong)


def test_calls_side_by_side_are_answered_in_their_order(tiny: Subject, tmp_path: Path) -> None:
    desk = desk_of(tmp_path, tiny)
    calls = [Call(f"c{k}", "logit_lens", LENS | {"k": k}) for k in range(1, 6)]
    answers = desk.call_all(UNIT, calls)
    sizes = [len(answer["result"]["promoted"]["tokens"]) for answer in answers]
    assert sizes == [1, 2, 3, 4, 5]
    assert desk_of(tmp_path, None).call_all(UNIT, calls) == answers


def test_a_look_up_does_not_wait_for_the_subject(tiny: Subject, tmp_path: Path) -> None:
    desk = desk_of(tmp_path, tiny)

    def look_up() -> None:
        with desk._locked(("index",)):
            pass

    with desk._locked(("subject",)):
        thread = threading.Thread(target=look_up, daemon=True)
        thread.start()
        thread.join(timeout=10)
        assert not thread.is_alive()
