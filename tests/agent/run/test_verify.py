"""`hubel verify`: what was changed of a run is named, whatever file it is in."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.run.replay import replay
from hubel.agent.run.verify_run import verify_run
from hubel.agent.runlog.layout import PIECES
from hubel.agent.runlog.log import Event, read_events
from hubel.agent.runlog.reviews import Reviews
from hubel.agent.runlog.views import target_rows
from hubel.bench.soak.forge import forge
from hubel.tools.errors import CorruptError
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config
from tests.support.finished_run import FINISHED


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def flip(path: Path, at: int = -20) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_finished_run_holds_and_every_file_is_covered(run: Path) -> None:
    Reviews(run).write("review", "mlp.0.0", {"verdict": "approve", "name": "Ada"})
    found = verify_run(run)
    assert (found.holds, found.sealed, found.problems, found.notes) == (True, True, [], [])
    assert found.events == len(list(read_events(run)))
    files = {str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()}
    recorded = {str(e.id) for e in read_events(run) if e.event == "file"}
    own_hashes = {"seal.json", "lock", "checkpoints.sqlite"}
    logs = {name for name in files if name.startswith(("events/", "reviews/"))}
    assert files - recorded - own_hashes - logs == set()
    assert replay(run).bitwise


def test_a_flip_in_any_file_is_found_and_named(run: Path) -> None:
    Reviews(run).write("review", "mlp.0.0", {"verdict": "approve", "name": "Ada"})
    paths = [path for path in run.rglob("*") if path.is_file() and path.stat().st_size]
    assert len(paths) >= 8
    for path in paths:
        if path.name.startswith("checkpoints"):
            continue  # tests/agent/run/test_checkpoints.py
        whole = path.read_bytes()
        flip(path, len(whole) // 2)
        found = verify_run(run)
        assert not found.holds, path
        assert path.name in " ".join(found.problems)
        assert not any("\n" in problem for problem in found.problems)
        path.write_bytes(whole)
    assert verify_run(run).holds


@pytest.mark.parametrize("split", ["explore", "select", "holdout"])
def test_no_reader_uses_activations_that_were_changed(run: Path, split: str) -> None:
    flip(run / "collected" / f"{split}.safetensors")
    with pytest.raises(
        CorruptError, match=f"{split}.safetensors was changed .* `hubel resume .*run`"
    ):
        replay(run)


def test_what_was_added_or_removed_is_found(run: Path) -> None:
    (run / "collected" / "other.safetensors").write_bytes(b"new")
    assert "no hash in the log" in verify_run(run).problems[0]
    (run / "collected" / "other.safetensors").unlink()
    (run / "lexicon" / "strings.json").unlink(missing_ok=True)
    next((run / "lexicon").iterdir()).unlink(missing_ok=True)
    assert "is missing" in verify_run(run).problems[0]


def test_a_missing_seal_is_found_and_a_resume_writes_it(run: Path) -> None:
    (run / "seal.json").unlink()  # or the run was killed between its verdicts and its seal
    (run / PIECES).mkdir()
    assert "has no seal.json" in verify_run(run).problems[0]
    execute_run(run)
    assert verify_run(run).holds
    assert not (run / PIECES).exists(), "what a killed run left is deleted with its end"


def test_a_run_from_before_hashes_is_not_recorded(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = [e for e in read_events(run) if e.event not in ("file", "sealed")]
    shutil.rmtree(run / "events")
    (run / "seal.json").unlink()
    (run / "events").mkdir()
    old = [{k: v for k, v in e._asdict().items() if k not in ("hash", "previous")} for e in events]
    lines = [json.dumps(event, sort_keys=True, separators=(",", ":")) + "\n" for event in old]
    (run / "events" / "0001-1.jsonl").write_text("".join(lines))
    assert run_command_line(["verify", str(run)]) == 0
    assert "not recorded" in capsys.readouterr().out
    replayed = replay(run)
    assert (replayed.mismatches, replayed.bitwise, replayed.has_hashes) == ([], True, False)


def edit_outcome(run: Path) -> None:
    def change(event: Event) -> Event:
        is_outcome = event.event == "outcome" and event.data["outcome"] == "for"
        return event._replace(data=event.data | {"outcome": "against"}) if is_outcome else event

    forge(run, change)


def edit_feedback(run: Path) -> None:
    def change(event: Event) -> Event:
        is_feedback = event.event == "feedback" and event.data["worst"]
        return event._replace(data=event.data | {"score": 0.99}) if is_feedback else event

    forge(run, change)


def remove_a_loser(run: Path) -> None:
    winners = {row["predicate"] for row in target_rows(run)}
    losers = [
        (e.target, e.id)
        for e in read_events(run)
        if e.event == "hypothesis" and e.data["predicate"] not in winners
    ]
    forge(run, lambda e: None if e.event == "hypothesis" and (e.target, e.id) in losers else e)


@pytest.mark.parametrize("edit", [edit_outcome, edit_feedback, remove_a_loser])
def test_a_replay_notices_changes_behind_a_chain_that_holds(
    run: Path, edit: Callable[[Path], None]
) -> None:
    edit(run)
    assert verify_run(run).holds
    assert replay(run).mismatches


def test_the_command_prints_one_line_or_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["verify", str(run)]) == 0
    assert "run holds: " in capsys.readouterr().out
    flip(run / "config.toml", 30)
    assert run_command_line(["verify", str(run), "--json"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["holds"] is False
    assert "config.toml" in printed.err


def test_a_file_that_was_being_written_is_collected_again(
    run: Path, tiny: Subject, tiny_index: Path, finished: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    make_run(folder, resolve(run_config(index=str(tiny_index), **FINISHED)))
    (folder / "collected").mkdir()
    flip(run / "collected" / "explore.safetensors")
    os.replace(
        run / "collected" / "explore.safetensors", folder / "collected" / "explore.safetensors"
    )
    execute_run(folder, subject=tiny)
    timeless = [{k: v for k, v in r.items() if k != "seconds"} for r in target_rows(folder)]
    assert timeless == [
        {k: v for k, v in r.items() if k != "seconds"} for r in target_rows(finished)
    ]
    assert verify_run(folder).holds
