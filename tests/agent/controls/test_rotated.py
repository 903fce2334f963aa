"""Rotated directions next to a run: the same as rotated targets, the same each time, found again, never a verdict."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.controls.rotated import missing_groups, planned_directions
from hubel.agent.explainers import make_explainer
from hubel.agent.investigation.rotated_floors import EVENT, RotatedGroup, mean_scores
from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.run.replay import replay
from hubel.agent.run.resources import RunResources
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.progress import Reporter
from hubel.agent.runlog.views import target_rows
from hubel.tools.subject.address import Unit
from hubel.tools.subject.subject import Subject
from tests.support.configs import changed, run_config

TARGETS = ["mlp.0.1", "mlp.0.2", "mlp.2.3-"]


@pytest.fixture(scope="module")
def run(tiny: Subject, tiny_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return execute(tmp_path_factory.mktemp("runs") / "run", tiny, tiny_index, rotated=2)


def execute(folder: Path, tiny: Subject, index: Path, **settings: Any) -> Path:
    settings = {"targets": TARGETS, "explainer": "ten-tokens"} | settings
    make_run(folder, resolve(run_config(index=str(index), **settings)))
    execute_run(folder, subject=tiny)
    return folder


def events(folder: Path) -> dict[str | None, dict[str, Any]]:
    return RunLog(folder, writable=False).all(EVENT)


def test_a_direction_is_explained_as_a_rotated_target_of_a_run_is(
    run: Path, tiny: Subject, tiny_index: Path, tmp_path: Path
) -> None:
    nulls = {"mlp.0.24": "rotated", "mlp.0.25": "rotated"}
    other = execute(tmp_path / "nulls", tiny, tiny_index, targets=[*nulls], nulls=nulls)
    directions = events(run)["0"]["directions"]
    for direction, row in zip(directions, target_rows(other), strict=True):
        assert (direction["predicate"], direction["sentence"]) == (
            row["predicate"],
            row["explanation"],
        )
        on_holdout = {
            (score["scorer"], score["text"]): score["value"]
            for score in row["scores"]
            if score["split"] == "holdout"
        }
        for score in direction["scores"]:
            if score["text"] == "random":
                assert score["value"] == on_holdout[score["scorer"], "random"]


def test_a_later_run_finds_the_results_and_a_new_cache_gives_the_same(
    run: Path,
    tiny: Subject,
    tiny_index: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again = execute(tmp_path / "again", tiny, tiny_index, targets=["mlp.0.7"], rotated=2)
    assert events(again)["0"] == events(run)["0"]
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))
    fresh = execute(tmp_path / "fresh", tiny, tiny_index, targets=["mlp.0.7"], rotated=2)
    assert events(fresh)["0"] == events(run)["0"]
    notes = list((tmp_path / "cache" / "controls").iterdir())
    assert len(notes) == 3  # two directions, and the losses of subject and frequencies
    other = execute(tmp_path / "seed", tiny, tiny_index, targets=["mlp.0.7"], rotated=2, seed=1)
    assert events(other)["0"]["directions"] != events(run)["0"]["directions"]


def test_a_replay_needs_nothing_but_the_log(run: Path) -> None:
    result = replay(run)
    assert (result.mismatches, result.bitwise) == ([], True)
    assert result.not_computed[EVENT] == 1


def test_each_score_has_a_mean_over_directions(run: Path) -> None:
    event = events(run)["0"]
    values = [
        score["value"]
        for direction in event["directions"]
        for score in direction["scores"]
        if (score["scorer"], score["text"]) == ("simulation", "random")
    ]
    assert len(values) == 2
    assert mean_scores(event)["simulation", "random"] == pytest.approx(sum(values) / 2)


@pytest.mark.parametrize(
    ("targets", "directions", "expected"),
    [
        ("mlp.1.0 mlp.1.1 mlp.1.2 mlp.1.3", 6, {"1": 6}),  # one layer: all of them
        ("mlp.1.0 mlp.2.1 mlp.2.2", 2, {"2": 2}),  # as many as targets, the layer with most first
        ("mlp.1.0 mlp.2.1", 1, {"1": 1, "2": 1}),
        ("mlp.1.0- mlp.1.1+ mlp.1.2", 1, {"1+": 1, "1": 1}),  # either side: one group
        ("head.1.0 head.2.1", 6, {}),  # heads have none
        ("sae.a.1 sae.a.2+ sae.b.1", 2, {"sae.a": 2}),  # latents have one side
        ("sae.a.1-", 2, {}),
        ("mlp.1.0", 0, {}),
    ],
)
def test_directions_are_planned_for_the_layers_of_the_targets(
    targets: str, directions: int, expected: dict[str, int]
) -> None:
    planned = planned_directions([Unit.parse(t) for t in targets.split()], directions)
    assert {str(group): count for group, count in planned.items()} == expected


def test_a_language_model_and_a_script_are_not_asked_about_directions(tmp_path: Path) -> None:
    model = run_config(index="i", targets=TARGETS, explainer="openai:m", base_url="http://x")
    script = run_config(index="i", targets=TARGETS, script="moves.json", rotated=2)
    with closing(RunLog(tmp_path, writable=False)) as log:
        asked = changed(model, rotated=2)
        assert missing_groups(asked, make_explainer("openai:m", asked), log) == {}
        assert missing_groups(script, make_explainer("ten-tokens", script), log) == {}


def test_a_failure_is_said_and_leaves_the_floor_unknown(tiny: Subject, tmp_path: Path) -> None:
    said: list[str] = []

    class Said(Reporter):
        def say(self, text: str) -> None:
            said.append(text)

    config = run_config(index=str(tmp_path / "gone"), targets=TARGETS, rotated=2)
    config = changed(config, subject={"name": "tiny", "revision": tiny.revision})
    with closing(RunLog(tmp_path / "run")) as log:
        RunResources(tmp_path / "run", config, log, Said(), tiny, None, None).record_rotated()
        assert not log.all(EVENT)
    (line,) = said
    assert line.startswith("rotated directions could not be explained")
    assert "no index at" in line


def test_groups_print_as_layer_and_side() -> None:
    assert str(RotatedGroup.of(Unit.parse("mlp.3.1-"))) == "3+"
    assert RotatedGroup.of(Unit.parse("head.3.1")) is None
