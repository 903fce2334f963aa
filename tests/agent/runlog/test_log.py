"""The run log: nothing that was written is lost, whatever is left of the last line."""

from __future__ import annotations

import json
import resource
import signal
import tempfile
import tracemalloc
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.agent.runlog.event_shelf import SHORT, FileShelf
from hubel.agent.runlog.log import RunLog, WriterLock, canonical, read_events
from hubel.agent.runlog.segments import fetch, read_segment, segments
from hubel.tools.errors import UsageError

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(data=st.dictionaries(st.text(), json_values, max_size=4))
def test_what_was_written_is_read_back_from_either_form(
    tmp_path_factory: pytest.TempPathFactory, data: dict
) -> None:
    folder = tmp_path_factory.mktemp("run")
    log = RunLog(folder)
    log.write("note", data, target="mlp.1.2", id="n1")
    log.close()
    assert RunLog(folder).get("note", "mlp.1.2", "n1") == data
    RunLog(folder).seal()
    assert not list((folder / "events").glob("*.jsonl"))
    assert RunLog(folder).get("note", "mlp.1.2", "n1") == data


def test_a_segment_that_is_sealed_after_it_was_listed_is_read_all_the_same(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for i in range(5):
        log.write("note", {"i": i}, id=str(i))
    log.close()
    (listed,) = segments(tmp_path).values()
    positions = [envelope.position for envelope in read_segment(listed)]
    RunLog(tmp_path).seal()
    assert listed.suffix == ".jsonl"
    assert not listed.exists()
    assert [e.data()["i"] for e in read_segment(listed)][:5] == [0, 1, 2, 3, 4]
    assert [e.data()["i"] for e in fetch(listed, positions[1:3])] == [1, 2]


def test_an_unfinished_last_line_costs_only_itself(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for i in range(3):
        log.write("note", {"i": i}, id=str(i))
    log.close()
    segment = next((tmp_path / "events").glob("*.jsonl"))
    whole = segment.read_bytes()
    last = whole.rindex(b"\n", 0, len(whole) - 1) + 1
    for cut in range(last, len(whole)):
        segment.write_bytes(whole[:cut])
        assert [e.data["i"] for e in read_events(tmp_path)] == [0, 1]


def test_a_new_writer_opens_a_segment_of_its_own_and_the_last_event_of_a_name_counts(
    tmp_path: Path,
) -> None:
    for value in (1, 2):
        log = RunLog(tmp_path)
        log.write("score", {"value": value}, target="mlp.1.2", id="h1")
        log.close()
    assert len(list((tmp_path / "events").glob("*.jsonl"))) == 2
    assert RunLog(tmp_path).get("score", "mlp.1.2", "h1") == {"value": 2}


def test_sealing_that_was_killed_between_its_two_steps_reads_each_event_once(
    tmp_path: Path,
) -> None:
    log = RunLog(tmp_path)
    log.write("note", {"i": 0}, id="0")
    log.close()
    segment = next((tmp_path / "events").glob("*.jsonl"))
    copy = segment.read_bytes()
    RunLog(tmp_path).seal()
    segment.write_bytes(copy)
    assert [event.event for event in read_events(tmp_path)] == ["note", "sealed"]
    RunLog(tmp_path).seal()
    assert {p.suffix for p in (tmp_path / "events").iterdir()} == {".parquet"}


def test_two_writers_at_once_are_refused(tmp_path: Path) -> None:
    with (
        WriterLock(tmp_path),
        pytest.raises(UsageError, match="another hubel process"),
        WriterLock(tmp_path),
    ):
        pass
    with WriterLock(tmp_path):
        assert (tmp_path / "lock").exists()


def test_what_is_no_number_never_reaches_the_log(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        log.write("score", {"value": float("nan")})
    assert log.all("score") == {}


def test_canonical_json_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical({"b": 1, "a": [1.5, None]}) == canonical(
        json.loads('{"a": [1.5, null], "b": 1}')
    )


def test_events_are_found_by_kind_and_target_in_the_order_of_first_writing(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for id in ("b", "a", "b"):
        log.write("outcome", {"id": id}, target="t", id=id)
    log.write("conclusion", {"n": 1}, target="t")
    log.write("conclusion", {"n": 2}, target="u")
    for found in (log, RunLog(tmp_path, writable=False)):
        assert list(found.all("outcome", "t")) == ["b", "a"]
        assert found.targets("conclusion") == {"t": {"n": 1}, "u": {"n": 2}}
        assert (found.all("outcome", "u"), found.targets("verdict"), found.get("x")) == (
            {},
            {},
            None,
        )


@pytest.mark.parametrize("sealed", [False, True])
def test_memory_does_not_grow_with_the_texts_of_events(tmp_path: Path, sealed: bool) -> None:
    texts = ["ab" * 20_000, "ü" * 40_000, "short"] * 40
    log = RunLog(tmp_path)
    tracemalloc.start()
    try:
        for number, text in enumerate(texts):
            log.write("observation", {"text": text}, target=f"mlp.0.{number}")
        if sealed:
            log.seal()
        read = RunLog(tmp_path, writable=False)
        in_memory, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert in_memory < 1_000_000 < sum(map(len, texts))
    for found in (log, read):
        assert [found.get("observation", f"mlp.0.{n}") for n in range(len(texts))] == [
            {"text": text} for text in texts
        ]
        assert found.has("observation", "mlp.0.0")
        assert not found.has("observation", "mlp.0.0", "1")
        assert not found.has("observation")


def test_texts_stay_in_memory_where_a_temporary_file_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    shelf = FileShelf()
    texts = [b"long" * 1000, b"", b"x" * SHORT, b"x" * (SHORT + 1)]
    assert [shelf.read(shelf.add(text)) for text in texts] == texts
    assert shelf.add(texts[0]) == texts[0]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert isinstance(shelf.add(texts[0]), int)
    assert [shelf.read(place) for place in map(shelf.add, texts)] == texts


def test_a_sealed_segment_has_many_groups_and_every_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hubel.agent.runlog.log.SEALED_ROWS", 3)
    log = RunLog(tmp_path)
    for number in range(7):
        log.write("note", {"n": number}, id=str(number))
    log.seal()
    (path,) = segments(tmp_path).values()
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [3, 3, 2]
    assert [event.data.get("n") for event in read_events(tmp_path)][:7] == list(range(7))
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name]


def test_a_line_that_does_not_fit_on_the_disk_is_taken_back(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.write("outcome", {"n": 1}, id="whole")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400, limits[1]))
        with pytest.raises(OSError, match="large"):
            log.write("outcome", {"text": "x" * 1000}, id="cut")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    log.write("outcome", {"n": 2}, id="after")
    assert [event.id for event in read_events(tmp_path)] == ["whole", "after"]
