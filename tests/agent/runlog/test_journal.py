"""A request is answered once: the second time, and after a restart, the answer is the log's."""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path

from hubel.agent.runlog.journal import Journal, request_hash
from hubel.agent.runlog.log import RunLog


def never() -> dict[str, int]:
    raise AssertionError("the journal asked again for what it holds")


def test_an_answer_is_computed_once_even_after_a_restart(tmp_path: Path) -> None:
    request = {"instrument": "ablate", "arguments": {"k": 1}}
    with closing(RunLog(tmp_path)) as log:
        journal = Journal(log)
        assert not journal.holds("call", "mlp.0.1", request)
        assert journal.answer("call", "mlp.0.1", request, lambda: {"kl": 2}) == {"kl": 2}
    with closing(RunLog(tmp_path)) as log:
        journal = Journal(log)
        assert journal.holds("call", "mlp.0.1", request)
        assert journal.answer("call", "mlp.0.1", request, never) == {"kl": 2}
        (row,) = log.all("call", "mlp.0.1").values()
        assert set(row) == {"request", "answer", "seconds"}


def test_other_targets_events_and_requests_have_their_own_answers(tmp_path: Path) -> None:
    with closing(RunLog(tmp_path)) as log:
        journal = Journal(log)
        for number, (event, target, k) in enumerate(
            [
                ("call", "mlp.0.1", 1),
                ("call", "mlp.0.1", 2),
                ("fit", "mlp.0.1", 1),
                ("call", "u", 1),
            ]
        ):
            answer = journal.answer(event, target, {"k": k}, lambda n=number: {"n": n})
            assert answer == {"n": number}


def test_a_row_comes_back_as_a_reader_of_the_log_sees_it(tmp_path: Path) -> None:
    with closing(RunLog(tmp_path)) as log:
        row = Journal(log).row("measurement", "k", lambda: {"value": (1, 2)})
    assert row == {"value": [1, 2]}


def test_the_name_of_a_request_never_changes() -> None:
    expected = hashlib.sha256(b'{"a":[1,2],"b":"x"}').hexdigest()
    assert request_hash({"b": "x", "a": [1, 2]}) == expected[:32]
    assert request_hash({"b": "x", "a": [1, 2]}, 20) == expected[:20]
    assert request_hash({"lone": "\ud800"}), "a lone surrogate can be hashed"
