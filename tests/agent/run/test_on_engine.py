"""Runs on an engine's workers: the log of a run in one process, whoever is killed, and one line for what is wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.engine import LocalEngine, NoWorkerError, PieceOutcome, Worker
from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.run.replay import replay
from hubel.agent.run.target_piece import TargetPiece
from hubel.agent.runlog.compare_logs import BOOKKEEPING
from hubel.agent.runlog.layout import PIECES
from hubel.agent.runlog.log import EventName, RunLog, read_events
from hubel.bench.soak.kill_runs import SoakModel
from hubel.tools.errors import UnavailableError
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config
from tests.support.finished_run import FINISHED
from tests.support.tiny import tiny_subject

JOURNAL = {"call", "explainer_call", "failure"}


def events(folder: Path) -> dict[EventName, dict[str, Any]]:
    """The last event of every name, without seconds."""
    return {
        name: {key: value for key, value in data.items() if key not in ("seconds", "traceback")}
        for name, data in RunLog(folder, writable=False).named_events()
        if name.event not in BOOKKEEPING
    }


def new_run(folder: Path, index: Path, **settings: Any) -> Path:
    make_run(folder, resolve(run_config(index=str(index), **settings)))
    return folder


class DiesAfter(LocalEngine):
    """Ends the run after some targets: the next one is done, and not yet written down."""

    def __init__(self, worker: Worker, pieces: int) -> None:
        super().__init__(worker)
        self._left = pieces

    def run(self, pieces: Any) -> Iterator[PieceOutcome]:
        for outcome in super().run(pieces):
            self._left -= isinstance(outcome.piece, TargetPiece)
            if self._left < 0:
                raise KeyboardInterrupt
            yield outcome


def test_a_killed_run_on_workers_ends_like_one_in_one_process(
    finished: Path, tmp_path: Path, tiny: Subject, tiny_index: Path
) -> None:
    folder = new_run(tmp_path / "run", tiny_index, **FINISHED)
    with pytest.raises(KeyboardInterrupt):
        execute_run(folder, engine=DiesAfter(Worker(subject=tiny), 2), subject=tiny)
    assert list((folder / PIECES).glob("*.json")), "one was done and not written down"
    execute_run(folder, engine=LocalEngine(Worker(subject=tiny)), subject=tiny)
    assert events(folder) == events(finished)
    assert Counter(e.target for e in read_events(folder) if e.event == "conclusion") == Counter(
        e.target for e in read_events(finished) if e.event == "conclusion"
    )
    assert not list((folder / PIECES).glob("*")), "what the log has is not kept twice"
    again = replay(folder)
    assert again.bitwise
    assert not again.mismatches


def test_a_run_may_go_on_without_the_engine(
    finished: Path, tmp_path: Path, tiny: Subject, tiny_index: Path
) -> None:
    folder = new_run(tmp_path / "run", tiny_index, **FINISHED)
    with pytest.raises(KeyboardInterrupt):
        execute_run(folder, engine=DiesAfter(Worker(subject=tiny), 1), subject=tiny)
    execute_run(folder, subject=tiny)
    assert events(folder) == events(finished)


def test_a_failure_on_a_worker_is_a_failure_of_its_target_that_any_engine_retries(
    tmp_path: Path, tiny: Subject, tiny_index: Path
) -> None:
    claim = {"id": "h1", "sentence": 'Fires on "the".', "predicate": 'strongly words("the")'}
    moves = {
        "mlp.0.0": [{"hypotheses": [claim]}],
        "mlp.0.1": [{"hypotheses": [claim | {"predicate": "no"}]}],
    }
    script = tmp_path / "script.json"
    script.write_text(json.dumps(moves))
    settings = {"explainer": "scripted", "script": str(script), "targets": list(moves)}
    local = new_run(tmp_path / "local", tiny_index, **settings)
    remote = new_run(tmp_path / "remote", tiny_index, **settings)
    engine = LocalEngine(Worker(subject=tiny))
    execute_run(local, subject=tiny)
    assert execute_run(remote, subject=tiny, engine=engine).failed == 1
    expected = {
        name: data
        for name, data in events(local).items()
        if name.target != "mlp.0.1" or name.event in {*JOURNAL, "neighbours"}
    }
    assert events(remote) == expected
    script.write_text(json.dumps(moves | {"mlp.0.1": [{"hypotheses": [claim]}]}))
    assert execute_run(remote, subject=tiny).failed == 1, "the journal has the move"


def test_calls_of_instruments_go_to_workers_and_replies_stay_here(
    tmp_path: Path, tiny: Subject, tiny_index: Path
) -> None:
    class Counting(LocalEngine):
        calls = 0

        def call(self, request: Any) -> Any:
            Counting.calls += 1
            return super().call(request)

        def run(self, pieces: Any) -> Iterator[PieceOutcome]:
            for outcome in super().run(pieces):
                assert not isinstance(outcome.piece, TargetPiece), "targets stay in this process"
                yield outcome

    settings = {"explainer": "openai:soak", "targets": ["mlp.0.1", "mlp.1.2-"]}
    settings |= {"competitor": False, "max_contexts": 300}
    local = new_run(tmp_path / "local", tiny_index, **settings)
    remote = new_run(tmp_path / "remote", tiny_index, **settings)
    execute_run(local, subject=tiny, model=SoakModel())
    execute_run(remote, subject=tiny, model=SoakModel(), engine=Counting(Worker(subject=tiny)))
    assert Counting.calls > 0
    assert {n for n in events(remote) if n.event != "llm_request"} == {
        n for n in events(local) if n.event != "llm_request"
    }
    for name, data in events(local).items():
        if name.event in ("call", "score", "evidence", "verdicts", "outcome"):
            assert events(remote)[name] == data


def test_nulls_and_controls_are_made_alike_on_workers(
    tmp_path: Path, tiny: Subject, tiny_index: Path
) -> None:
    kinds = ("noise", "shuffled:mlp.0.1", "rotated", "redrawn:mlp.0.2")
    assert isinstance(tiny.shape.n_neurons, int)
    nulls = {f"mlp.0.{tiny.shape.n_neurons + n}": kind for n, kind in enumerate(kinds)}
    settings = {"targets": [*nulls, "mlp.0.3"], "nulls": nulls, "explainer": "ten-tokens"}
    local = new_run(tmp_path / "local", tiny_index, **settings)
    remote = new_run(tmp_path / "remote", tiny_index, **settings)
    execute_run(local, subject=tiny)
    execute_run(remote, subject=tiny, engine=LocalEngine(Worker(subject=tiny)))
    assert events(remote) == events(local)


def test_a_worker_with_another_subject_is_refused_in_one_line(
    tmp_path: Path, tiny: Subject, tiny_index: Path
) -> None:
    class OtherSubject(Worker):
        def subject_at_hand(self, revision: str) -> Subject:
            return tiny_subject(seed=1)

    folder = new_run(tmp_path / "run", tiny_index, **FINISHED)
    with pytest.raises(UnavailableError, match=r"this process: .*weights") as refusal:
        execute_run(folder, subject=tiny, engine=LocalEngine(OtherSubject()))
    assert "\n" not in str(refusal.value)
    assert execute_run(folder, subject=tiny).done == 5


def test_the_loss_of_the_last_worker_ends_the_run_and_fails_no_target(
    tmp_path: Path, tiny: Subject, tiny_index: Path
) -> None:
    class Dying(LocalEngine):
        calls = 0

        def call(self, request: Any) -> Any:
            Dying.calls += 1
            if Dying.calls > 2:
                raise NoWorkerError("the cluster has had no worker for 180 s")
            return super().call(request)

    settings = {"explainer": "openai:soak", "targets": ["mlp.0.1", "mlp.1.2-", "mlp.2.0"]}
    settings |= {"competitor": False, "max_contexts": 300, "concurrency": 1}
    folder = new_run(tmp_path / "run", tiny_index, **settings)
    with pytest.raises(NoWorkerError, match="no worker for 180 s"):
        execute_run(folder, subject=tiny, model=SoakModel(), engine=Dying(Worker(subject=tiny)))
    asked = {e.target for e in read_events(folder) if e.event == "llm_call"}
    assert asked == {"mlp.0.1"}, "no further target is paid for"
    assert not [e for e in read_events(folder) if e.event == "failure"]
    assert execute_run(folder, subject=tiny, model=SoakModel()).done == 3
