"""Whole runs on a tiny subject: what is done is kept, what fails is a failure, and nobody reads holdout but verify."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.run.replay import replay
from hubel.agent.runlog.config import RunConfig
from hubel.agent.runlog.log import RunLog, read_events
from hubel.agent.runlog.progress import Reporter, StepProgress
from hubel.agent.runlog.views import target_rows
from hubel.tools.errors import UsageError
from hubel.tools.index import Collected
from hubel.tools.index.collected import part_name
from hubel.tools.subject.subject import Subject
from tests.support.configs import changed, run_config

TARGETS = ["mlp.0.0-5", "mlp.2.3-", "head.1.0"]


@pytest.fixture(scope="module")
def config(tiny_index: Path) -> RunConfig:
    return resolve(run_config(index=str(tiny_index), targets=TARGETS, explainer="compositional"))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, config: RunConfig, tiny: Subject) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    make_run(folder, config)
    execute_run(folder, subject=tiny)
    return folder


@pytest.mark.slow
def test_a_run_explains_every_target_and_says_so(done: Path) -> None:
    table = target_rows(done)
    assert [r["target"] for r in table] == [
        *(f"mlp.0.{i}" for i in range(6)),
        "mlp.2.3-",
        "head.1.0",
    ]
    assert {r["status"] for r in table} == {"done"}
    assert all(r["verdict"] in ("kept", "rejected", "inconclusive") for r in table)
    scored = [r for r in table if r["explanation"]]
    assert scored, "the library can say something about units that read single tokens"
    for row in scored:
        assert 0 < len((row["explanation"] or "").split()) <= 40
        expected = itertools.product(("select", "holdout"), ("random", "top_and_random"))
        assert {(s["split"], s["text"]) for s in row["scores"]} == set(expected)
        for score in row["scores"]:
            assert score["low"] is not None
            assert score["high"] is not None
            assert score["low"] <= score["value"] <= score["high"]


@pytest.mark.slow
def test_predictions_stand_in_the_log_before_their_calls_and_outcomes(done: Path) -> None:
    order: dict[tuple[str | None, str | None], dict[str, int]] = {}
    for number, event in enumerate(read_events(done)):
        if event.event in ("prediction", "outcome"):
            order.setdefault((event.target, event.id), {})[event.event] = number
    assert order, "the compositional explainer plans experiments"
    assert all(found["prediction"] < found["outcome"] for found in order.values())


@pytest.mark.slow
def test_a_run_that_is_done_is_left_as_it_is(done: Path, tiny: Subject) -> None:
    before = {p: p.read_bytes() for p in sorted((done / "events").iterdir())}
    result = execute_run(done)  # without a subject: none is needed
    assert (result.done, result.failed, result.pending) == (8, 0, 0)
    assert {p: p.read_bytes() for p in sorted((done / "events").iterdir())} == before


@pytest.mark.slow
def test_a_run_in_parts_has_the_same_rows_and_replays(
    done: Path, tmp_path: Path, config: RunConfig, tiny: Subject
) -> None:
    again = tmp_path / "again"
    make_run(again, changed(config, collected_together=3))
    execute_run(again, subject=tiny)
    assert [_timeless(r) for r in target_rows(again)] == [_timeless(r) for r in target_rows(done)]
    names = {path.name for path in (again / "collected").iterdir()}
    splits = ("explore", "select", "holdout")
    assert names == {part_name(split, part) for split in splits for part in range(3)}
    collected = Collected.open(again / "collected", "explore")
    whole = Collected.open(done / "collected", "explore")
    assert collected.targets == whole.targets
    for target in whole.targets:
        assert np.array_equal(collected.activations(target), whole.activations(target))
    assert not replay(again).mismatches


class StopAfter(Reporter):
    """Interrupts when so many targets have ended."""

    def __init__(self, targets: int) -> None:
        self.targets = targets

    def show(self, current: StepProgress) -> None:
        if current.step == "explain" and current.done == self.targets:
            raise KeyboardInterrupt


def test_a_part_is_not_collected_before_the_one_before_has_ended(
    tmp_path: Path, config: RunConfig, tiny: Subject
) -> None:
    moves = {f"mlp.0.{i}": {"hypotheses": [CLAIM]} for i in range(3)}
    folder = scripted(tmp_path, changed(config, collected_together=2), moves)
    with pytest.raises(KeyboardInterrupt):
        execute_run(folder, subject=tiny, reporter=StopAfter(2))
    assert not (folder / "collected" / "explore-1.safetensors").exists()
    assert [row["status"] for row in target_rows(folder)] == ["done", "done", "pending"]
    assert execute_run(folder, subject=tiny).done == 3


def _timeless(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k != "seconds"}


@pytest.mark.slow
def test_a_run_of_that_name_is_not_overwritten(done: Path, config: RunConfig) -> None:
    with pytest.raises(UsageError, match=r"hubel resume .*/run`"):
        make_run(done, config)


def scripted(tmp_path: Path, config: RunConfig, moves: dict[str, Any]) -> Path:
    """A run of the scripted explainer with one move a target."""
    script = tmp_path / "script.json"
    script.write_text(json.dumps({target: [move] for target, move in moves.items()}))
    config = changed(config, explainer="scripted", script=str(script), targets=list(moves))
    make_run(tmp_path / "scripted", config)
    return tmp_path / "scripted"


CLAIM = {"id": "h1", "sentence": 'Fires on "the".', "predicate": 'strongly words("the")'}


def test_a_failure_is_a_failure_of_its_target_and_can_be_tried_again(
    tmp_path: Path, config: RunConfig, tiny: Subject
) -> None:
    broken = {"hypotheses": [CLAIM | {"predicate": "no such concept at all"}]}
    folder = scripted(tmp_path, config, {"mlp.0.0": {"hypotheses": [CLAIM]}, "mlp.0.1": broken})
    result = execute_run(folder, subject=tiny)
    assert (result.done, result.failed, result.pending) == (1, 1, 0)
    good, bad = target_rows(folder)
    assert (bad["status"], bad["explanation"], bad["verdict"], bad["scores"]) == (
        "failed",
        None,
        None,
        [],
    )
    assert bad["error"], "a failure says what happened"
    assert good["verdict"] in ("kept", "rejected", "inconclusive"), (
        "its verdict fell over both registered targets"
    )
    assert execute_run(folder, subject=tiny).failed == 1


def test_cannot_explain_is_inconclusive_without_scores(
    tmp_path: Path, config: RunConfig, tiny: Subject
) -> None:
    folder = scripted(tmp_path, config, {"mlp.0.0": {"cannot_explain": "it is noise to me"}})
    assert execute_run(folder, subject=tiny).done == 1
    row = target_rows(folder)[0]
    assert (row["status"], row["verdict"], row["explanation"], row["p"]) == (
        "done",
        "inconclusive",
        None,
        None,
    )


def test_a_sentence_longer_than_the_contract_allows_fails(
    tmp_path: Path, config: RunConfig, tiny: Subject
) -> None:
    folder = scripted(
        tmp_path, config, {"mlp.0.0": {"hypotheses": [CLAIM | {"sentence": "word " * 41}]}}
    )
    assert execute_run(folder, subject=tiny).failed == 1
    assert "41 words" in (target_rows(folder)[0]["error"] or "")


def test_the_best_hypothesis_on_select_wins_and_only_it_is_scored_on_holdout(
    tmp_path: Path, config: RunConfig, tiny: Subject
) -> None:
    rivals = [
        CLAIM,
        CLAIM | {"id": "h2", "predicate": 'strongly words("dog") - slightly words("river")'},
    ]
    folder = scripted(tmp_path, config, {"mlp.0.0": {"hypotheses": rivals}})
    execute_run(folder, subject=tiny)
    log = RunLog(folder, writable=False)
    values = {i: f["score"] for i, f in log.all("feedback", "mlp.0.0").items()}
    winner = max(values, key=lambda i: values[i])
    assert {s["hypothesis"] for s in log.all("score", "mlp.0.0").values()} == {winner}


def test_experiments_are_run_and_adjudicated(
    tmp_path: Path, config: RunConfig, tiny: Subject
) -> None:
    text = "the cat sat on the river bank"
    experiments = [
        {
            "id": "e1",
            "hypothesis": "h1",
            "passage": {"text": text},
            "relation": "within",
            "bounds": [-1e9, 1e9],
        },
        {
            "id": "e2",
            "hypothesis": "h1",
            "passage": {"text": text},
            "relation": "within",
            "bounds": [1e8, 1e9],
        },
        {
            "id": "e3",
            "hypothesis": "h1",
            "passage": {"text": text, "span": [0, 1]},
            "relation": "fires",
        },
    ]
    folder = scripted(
        tmp_path, config, {"mlp.0.0": {"hypotheses": [CLAIM], "experiments": experiments}}
    )
    execute_run(folder, subject=tiny)
    outcomes = RunLog(folder, writable=False).all("outcome", "mlp.0.0")
    assert {i: o["outcome"] for i, o in outcomes.items()} == {
        "e1": "for",
        "e2": "against",
        "e3": "void",
    }
