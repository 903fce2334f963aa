"""The chain of events: whatever is changed, moved or removed of a log shows, to every reader."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from hubel.agent.runlog.chain import START, check_log
from hubel.agent.runlog.config import RunConfig
from hubel.agent.runlog.log import RunLog, read_events
from hubel.agent.runlog.views import target_rows
from hubel.tools.errors import CorruptError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of one target that was stopped once: two segments, not sealed."""
    folder = tmp_path / "run"
    RunConfig("index", ["mlp.0.0"]).save(folder)
    for writer in range(2):
        log = RunLog(folder)
        for number in range(4):
            data = {"answer": {"text": "à", "value": number + 0.5}, "seconds": 0.25}
            log.write("call", data, target="mlp.0.0", id=f"{writer}/{number}")
        log.close()
        for segment in (folder / "events").iterdir():  # process ids are names of segments
            segment.rename(segment.with_name(f"{segment.name[:4]}-7{segment.suffix}"))
    return folder


def seal(folder: Path) -> None:
    RunLog(folder).seal()


def first(folder: Path) -> Path:
    return min((folder / "events").iterdir())


def events_by_other_code(folder: Path) -> list[dict[str, Any]]:
    """The events as somebody else's program would read them."""
    events: list[dict[str, Any]] = []
    for path in sorted((folder / "events").iterdir()):
        if path.suffix == ".jsonl":
            events += map(json.loads, path.read_text(encoding="utf-8").splitlines())
        else:
            rows = pq.read_table(path).to_pylist()
            events += [row | {"data": json.loads(row["data"])} for row in rows]
    return events


@pytest.mark.parametrize("sealed", [False, True])
def test_anybody_can_compute_the_chain_again(folder: Path, sealed: bool) -> None:
    if sealed:
        seal(folder)
    previous, events = hashlib.sha256(b"").hexdigest(), events_by_other_code(folder)
    for event in events:
        assert event["previous"] == previous
        content = {key: value for key, value in event.items() if key != "hash"}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        previous = hashlib.sha256(text.encode()).hexdigest()
        assert event["hash"] == previous
    if sealed:
        written = json.loads((folder / "seal.json").read_text())
        assert (written["events"], written["head"]) == (len(events), previous)
        assert events[-1]["event"] == "sealed"


@pytest.mark.parametrize("sealed", [False, True])
def test_no_flipped_bit_of_a_log_is_read_as_something_else(folder: Path, sealed: bool) -> None:
    if sealed:
        seal(folder)
    whole, rng = list(read_events(folder)), random.Random(0)
    files = [*(folder / "events").iterdir(), *folder.glob("seal.json")]
    for path in files:
        content = path.read_bytes()
        for at in range(rng.randrange(9), len(content), 9):
            flipped = bytearray(content)
            flipped[at] ^= 1 << rng.randrange(8)
            path.write_bytes(flipped)
            with suppress(CorruptError):  # noticed
                events = list(read_events(folder))
                check_log(folder)
                assert events == whole, f"bit of byte {at} of {path.name}"
        path.write_bytes(content)


def test_what_was_removed_or_moved_shows(folder: Path) -> None:
    lines = first(folder).read_bytes().splitlines(keepends=True)
    for changed in (lines[1:], lines[:1] + lines[2:], lines[:-1], [*lines, lines[-1]], lines[::-1]):
        first(folder).write_bytes(b"".join(changed))
        with pytest.raises(CorruptError, match="events before it were removed, added or moved"):
            RunLog(folder)
    first(folder).write_bytes(b"".join(lines))
    first(folder).rename(folder / "elsewhere")
    with pytest.raises(CorruptError, match="events before it were removed"):
        check_log(folder)


def test_the_end_of_a_sealed_log_cannot_be_removed(folder: Path) -> None:
    seal(folder)
    max((folder / "events").iterdir()).unlink()
    for read in (check_log, RunLog, target_rows):
        with pytest.raises(CorruptError, match="missing"):
            read(folder)
    (folder / "seal.json").write_text(
        json.dumps(json.loads((folder / "seal.json").read_text()) | {"segments": {}})
    )
    with pytest.raises(CorruptError, match=r"8 events, but seal\.json says that there were 9"):
        RunLog(folder)


def test_what_comes_after_a_seal_is_sealed_again(folder: Path) -> None:
    seal(folder)
    log = RunLog(folder)
    log.write("evaluation", {"scores": []}, target="mlp.0.0", id="e1")
    log.close()
    assert check_log(folder).events == 10
    seal(folder)
    assert check_log(folder).events == 11
    seal(folder)  # there is nothing to seal
    assert check_log(folder).events == 11


def test_a_line_that_was_not_finished_is_not_part_of_the_chain(folder: Path) -> None:
    with max((folder / "events").iterdir()).open("ab") as segment:
        segment.write(b'{"data":{"half":')
    log = RunLog(folder)
    log.write("call", {}, id="next")
    log.close()
    assert [event.id for event in read_events(folder)][-2:] == ["1/3", "next"]


def test_a_segment_that_was_copied_shows(folder: Path) -> None:
    seal(folder)
    shutil.copy(first(folder), first(folder).with_name("0001-8.parquet"))
    with pytest.raises(CorruptError, match="two segments numbered 1"):
        RunLog(folder)
    with pytest.raises(CorruptError, match="two segments numbered 1"):
        target_rows(folder)


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_only_files_of_the_run_are_read(folder: Path, kind: str, tmp_path: Path) -> None:
    path = folder / "events" / "0009-1.jsonl"
    (tmp_path / "outside").write_text("")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(tmp_path / "outside")
    else:
        path.mkdir()
    for read in (check_log, RunLog, target_rows):
        with pytest.raises(CorruptError, match="is not read"):
            read(folder)


def without_chain(folder: Path) -> None:
    """Write a log as it was written before the chain."""
    for path in (folder / "events").iterdir():
        events = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        kept = [{k: v for k, v in e.items() if k not in ("previous", "hash")} for e in events]
        lines = [json.dumps(event, sort_keys=True, separators=(",", ":")) for event in kept]
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def test_an_old_log_is_read_and_continued(folder: Path) -> None:
    before = [event.data for event in read_events(folder)]
    without_chain(folder)
    assert [event.data for event in read_events(folder)] == before
    log = RunLog(folder)
    assert not log.is_chained
    log.write("call", {}, id="new")
    log.seal()
    state = check_log(folder)
    assert (state.events, state.unchained) == (10, 8)
    (last, *_) = [event for event in read_events(folder) if event.id == "new"]
    assert last.previous == START


def test_a_broken_line_of_an_old_log_is_an_error_for_every_reader(folder: Path) -> None:
    without_chain(folder)
    lines = first(folder).read_bytes().splitlines(keepends=True)
    for damage in (b'{"data":{"x":1\n', b"\xff" + lines[1], b"\x00\n", b"7\n"):
        first(folder).write_bytes(lines[0] + damage + lines[2])
        for read in (RunLog, target_rows):
            with pytest.raises(CorruptError, match=r"0001-7\.jsonl, line 2: not an event"):
                read(folder)


def test_a_lone_surrogate_is_written_as_what_can_be_read(folder: Path) -> None:
    log = RunLog(folder)
    log.write("call", {"text": "a\ud800b"}, id="odd")
    log.close()
    assert log.get("call", id="odd") == RunLog(folder).get("call", id="odd") == {"text": "a?b"}
    target_rows(folder)
