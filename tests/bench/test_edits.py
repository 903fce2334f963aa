"""Every value of a run, changed alone: the chain notices; with a forged chain, the replay."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubel.bench.soak.edits import EditTally, changed, edit_run, leaves


def test_leaves_are_changed_one_at_a_time() -> None:
    value = {"a": [1, {"b": "x"}], "c": {}, "d": None, "e": True}
    paths = list(leaves(value))
    assert paths == [("a", 0), ("a", 1, "b"), ("c",), ("d",), ("e",)]
    edited = [changed(value, path) for path in paths]
    assert edited[1] == {"a": [1, {"b": "xx"}], "c": {}, "d": None, "e": True}
    assert all(other != value for other in edited)


@pytest.mark.slow
def test_no_edit_of_a_finished_run_is_unnoticed(finished: Path, tmp_path: Path) -> None:
    tally = EditTally()
    edit_run(finished, tmp_path / "scratch", tally, forgeries=6, seed=1, every=25)
    assert tally.edits > 1_000
    assert tally.unnoticed == 0, tally.notes[:5]
    assert tally.forged == 6
    assert tally.computed_unnoticed == 0, tally.only_hashed
