"""A run records the nearest units of its targets, the page shows them, and a run made before gets them on demand."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.review.run_catalog import StoredRun
from hubel.agent.review.store.fill import fill
from hubel.agent.review.target_page import target_page
from hubel.agent.run import resources
from hubel.agent.run.execute import add_neighbours, execute_run
from hubel.agent.run.replay import replay
from hubel.agent.run.similar_units import EVENT
from hubel.agent.runlog.progress import Reporter
from hubel.agent.runlog.views import target_rows
from hubel.bench.soak.forge import forge
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.subject.subject import Subject


def without_neighbours(finished: Path, folder: Path) -> Path:
    """The same run as it was before neighbours were recorded."""
    shutil.copytree(finished, folder)
    forge(folder, lambda event: None if event.event == EVENT else event)
    return folder


def nearest_of(folder: Path, target: str) -> list[dict[str, Any]] | None:
    run = StoredRun(folder)
    fill(run.store)
    return target_page(run, target)["nearest"]


def test_a_runs_targets_lead_to_their_neighbours_among_each_other(
    finished: Path, tiny: Subject
) -> None:
    nearest = nearest_of(finished, "mlp.0.0")
    assert nearest is not None
    by_direction, together = nearest
    result = call("nearest", {"unit": "mlp.0.0", "k": 8}, InstrumentContext(tiny)).to_json()
    assert [near["unit"] for near in by_direction["alike"]] == [
        near["unit"] for near in result["alike"]
    ]
    assert [near["where"] for near in by_direction["alike"]] == [
        near["depth"] for near in result["alike"]
    ]
    names = {near["target"] for side in ("alike", "opposite") for near in together[side]}
    assert names <= {"mlp.0.1", "mlp.0.2", "mlp.0.3", "mlp.2.3-"}
    explanation = {row["target"]: row["explanation"] for row in target_rows(finished)}
    assert all(near["explanation"] == explanation[near["target"]] for near in together["alike"])
    assert together["compared"] == 4


def test_neighbours_are_no_part_of_a_replay(finished: Path) -> None:
    assert replay(finished).mismatches == []


def test_a_run_killed_before_its_verdicts_records_them_when_it_is_resumed(
    finished: Path, tiny: Subject, tmp_path: Path
) -> None:
    folder = without_neighbours(finished, tmp_path / "killed")
    late = ("verdicts", "sealed", "timing")
    forge(folder, lambda event: None if event.event in late else event)
    shutil.rmtree(folder / "lexicon")
    execute_run(folder, subject=tiny)
    assert nearest_of(folder, "mlp.2.3-") == nearest_of(finished, "mlp.2.3-")


def test_a_run_made_before_says_nothing_until_it_is_asked_to(
    finished: Path, tiny: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = without_neighbours(finished, tmp_path / "old")
    assert nearest_of(folder, "mlp.2.3-") is None
    monkeypatch.setattr(resources.RunResources, "subject", lambda self: tiny)
    add_neighbours(folder, Reporter())
    assert nearest_of(folder, "mlp.2.3-") == nearest_of(finished, "mlp.2.3-")
    before = [p.name for p in sorted((folder / "events").iterdir())]
    add_neighbours(folder, Reporter())
    assert [p.name for p in sorted((folder / "events").iterdir())] == before
