"""The derived store says what the log says, however it was filled."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.review.run_catalog import StoredRun
from hubel.agent.review.search import search
from hubel.agent.review.store import fill as fill_module
from hubel.agent.review.store.database import Store
from hubel.agent.review.store.fill import fill, unread_bytes
from hubel.agent.review.target_list import TargetQuery, list_targets
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.views import target_rows
from hubel.tools.errors import CorruptError
from tests.support.review_page import unsealed


def listed(folder: Path, **query: str) -> list[dict[str, Any]]:
    store = Store(folder)
    fill(store)
    with store.reading() as db:
        return list_targets(db, TargetQuery.of(query)).rows


def test_store_agrees_with_the_views(folder: Path) -> None:
    from_views = {row["target"]: row for row in target_rows(folder)}
    from_store = {row["target"]: row for row in listed(folder)}
    assert list(from_store) == list(from_views)
    for target, row in from_store.items():
        for key in (
            "side",
            "layer",
            "status",
            "verdict",
            "explanation",
            "predicate",
            "p",
            "seconds",
            "calls",
            "usd",
        ):
            assert row[key] == from_views[target][key], (target, key)
        simulation = {
            s["split"]: s
            for s in from_views[target]["scores"]
            if (s["scorer"], s["text"]) == ("simulation", "random")
        }
        if simulation:
            assert (row["r"], row["low"], row["high"]) == tuple(
                simulation["holdout"][k] for k in ("value", "low", "high")
            )
            assert row["select"] == simulation["select"]["value"]
            assert row["drop"] == pytest.approx(row["select"] - row["r"])


def test_filling_in_pieces_equals_filling_at_once(folder: Path, tmp_path: Path) -> None:
    whole = listed(folder)
    lines = unsealed(folder)
    growing = tmp_path / "runs" / "growing"
    (growing / "events").mkdir(parents=True)
    shutil.copy(folder / "config.toml", growing)
    segment = growing / "events" / "0001-1.jsonl"
    store = Store(growing)
    text = "".join(line + "\n" for line in lines).encode()
    cuts = [0, len(text) // 3, len(text) // 2, len(text) - 5, len(text)]  # in the middle of lines
    for first, last in pairwise(cuts):
        with segment.open("ab") as file:
            file.write(text[first:last])
        fill(store)
    assert unread_bytes(store) == 0
    with store.reading() as db:
        assert list_targets(db, TargetQuery.of({})).rows == whole


def test_concurrent_filling_counts_nothing_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tables(store: Store) -> list[list[tuple[Any, ...]]]:
        with store.reading() as db:
            names = ("targets", "texts", "scores", "contexts", "exemplars")
            return [
                [tuple(row) for row in db.execute(f"select * from {name} order by 1, 2")]
                for name in names
            ]

    whole = listed(folder)
    alone = tables(Store(folder))
    monkeypatch.setattr(
        fill_module, "LINES_AT_ONCE", 9
    )  # a step is short, and the other one comes in between
    Store(folder).clear()
    steps: list[int] = []

    def between(read: int, of: int) -> None:
        steps.append(read)
        if len(steps) == 3:
            fill(Store(folder))

    fill(Store(folder), between)
    assert len(steps) > 2
    assert listed(folder) == whole
    assert tables(Store(folder)) == alone


def test_sealing_a_read_segment_changes_nothing(folder: Path) -> None:
    lines = unsealed(folder)
    (folder / "events" / next((folder / "events").iterdir()).name).unlink()
    (folder / "seal.json").unlink()
    segment = folder / "events" / "0001-1.jsonl"
    segment.write_text("".join(line + "\n" for line in lines))
    before = listed(folder)
    RunLog(folder).seal()
    store = Store(folder)
    last = max((folder / "events").iterdir())
    assert (
        unread_bytes(store) <= 1 + last.stat().st_size
    )  # to note that it is sealed, and the event that says so
    assert listed(folder) == before
    assert unread_bytes(store) == 0


def test_new_run_of_the_same_name_is_read_again(folder: Path) -> None:
    assert any(row["status"] == "done" for row in listed(folder))
    shutil.rmtree(folder / "events")
    (folder / "seal.json").unlink()
    assert {row["status"] for row in listed(folder)} == {"pending"}


@pytest.mark.parametrize("damage", [b'{"data": nonsense\n', b"\xff\xfe\n", b"[]\n", b"{}\n"])
def test_damaged_line_is_an_error_and_not_a_shorter_table(folder: Path, damage: bytes) -> None:
    before = listed(folder)
    segment = folder / "events" / "0009-1.jsonl"
    segment.write_bytes(damage + b'{"half":')
    for _ in range(2):
        with pytest.raises(CorruptError, match=r"0009-1\.jsonl, line 1: not an event"):
            listed(folder)
    segment.unlink()
    assert listed(folder) == before


def test_segment_that_was_edited_in_place_is_an_error(folder: Path) -> None:
    lines = unsealed(folder)
    listed(folder)
    (sealed,) = (folder / "events").iterdir()
    sealed.unlink()
    (folder / "seal.json").unlink()
    segment = folder / "events" / "0001-1.jsonl"
    segment.write_text("".join(line + "\n" for line in lines))
    listed(folder)
    edited = segment.read_bytes().replace(b'"outcome":"for"', b'"outcome":"fox"', 1)
    segment.write_bytes(edited)
    with pytest.raises(CorruptError, match=r"\(outcome\): the event was changed"):
        listed(folder)


def test_edited_configuration_is_an_error(folder: Path) -> None:
    listed(folder)
    config = folder / "config.toml"
    config.write_text(config.read_text().replace("seed = 0", "seed = 1"))
    for _ in range(2):
        with pytest.raises(CorruptError, match="changed after the run started"):
            listed(folder)


def test_sorting_and_filtering(folder: Path) -> None:
    everything = listed(folder)
    by_r = [row["r"] for row in listed(folder, sort="r", dir="desc")]
    scored = sorted((row["r"] for row in everything if row["r"] is not None), reverse=True)
    assert by_r[: len(scored)] == scored
    assert set(by_r[len(scored) :]) <= {None}
    assert {row["layer"] for row in listed(folder, layer="2")} == {2}
    assert {row["side"] for row in listed(folder, side="-")} == {"-"}
    assert listed(folder, r_min="2") == []
    word = next(row["explanation"] for row in everything if row["explanation"]).split()[0]
    assert all(word.lower() in row["explanation"].lower() for row in listed(folder, q=word))
    assert listed(folder, q=word)


def test_search_finds_words_of_explanations_and_exemplars(folder: Path) -> None:
    run = StoredRun(folder)
    fill(run.store)
    results = search(run, "monday", ["explanations", "exemplars"], 0, 50)
    page = search(run, "monday", ["explanations", "exemplars"], 3, 2)
    assert results["total"] >= len(results["hits"]) > 0
    assert page["hits"] == results["hits"][3:5]
    for hit in results["hits"]:
        for start, end in hit["marks"]:
            assert hit["text"][start:end].casefold().startswith("monday")


def test_repeated_event_counts_once_and_the_last_wins(folder: Path) -> None:
    before = {row["target"]: row for row in listed(folder)}
    target = next(iter(before))
    log = RunLog(folder)
    conclusion = log.get("conclusion", target) or {}
    log.write(
        "conclusion", {**conclusion, "explanation": "Fires on rewritten words."}, target=target
    )
    log.close()
    after = {row["target"]: row for row in listed(folder)}
    assert after[target]["explanation"] == "Fires on rewritten words."
    assert len(after) == len(before)
    assert [row["target"] for row in listed(folder, q="rewritten")] == [target]
