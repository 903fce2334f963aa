"""The views read what the log wrote, while it is written and after it is sealed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.views import connect, target_rows
from tests.support.configs import run_config

SCORE: dict[str, Any] = {
    "scorer": "simulation",
    "split": "holdout",
    "text": "random",
    "value": 0.5,
    "low": 0.4,
    "high": 0.6,
    "floors": {"chance": 0.0, "shuffled": 0.01, "other": None, "token_lookup": 0.6, "trivial": 0.1},
}
CONCLUSION = {
    "explanation": "It's “fires” on 'the'",
    "predicate": 'words("the")',
    "hypothesis": "h1",
    "cannot_explain": "",
    "p": 0.001,
    "seconds": 1.5,
    "calls": 0,
    "usd": 0.0,
    "failed_scores": 0,
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of three targets: one concluded, one failed, one not begun; its log is still being written."""
    run_config(index="i", targets=["mlp.1.2", "mlp.1.3-", "head.4.0"]).save(tmp_path)
    log = RunLog(tmp_path)
    sentence = {
        "sentence": "fires on 'the'",
        "predicate": 'words("the")',
        "origin": "full",
        "parent": None,
        "round": 0,
    }
    log.write("hypothesis", {"id": "h1"} | sentence, target="mlp.1.2", id="h1")
    prediction = {
        "hypothesis": "h1",
        "relation": "fires",
        "quantity": "max",
        "side": "+",
        "passage": {"text": "x y"},
    }
    log.write(
        "prediction",
        prediction | {"other": None, "bounds": None, "reason": ""},
        target="mlp.1.2",
        id="e1",
    )
    log.write(
        "outcome", {"observed": 2.0, "compared": 1.0, "outcome": "for"}, target="mlp.1.2", id="e1"
    )
    log.write(
        "score", SCORE | {"hypothesis": "h1"}, target="mlp.1.2", id="h1/simulation/holdout/random"
    )
    log.write(
        "score",
        SCORE | {"hypothesis": "h2", "value": 0.9},
        target="mlp.1.2",
        id="h2/simulation/holdout/random",
    )
    log.write("conclusion", CONCLUSION, target="mlp.1.2")
    log.write(
        "failure", {"error": "it broke", "kind": "ValueError", "traceback": ""}, target="mlp.1.3-"
    )
    return tmp_path


def test_one_row_a_requested_target_in_the_contracts_form(run: Path) -> None:
    found = target_rows(run)
    assert [(r["target"], r["side"], r["layer"], r["status"], r["verdict"]) for r in found] == [
        ("mlp.1.2", "both", 1, "done", "pending"),
        ("mlp.1.3-", "-", 1, "failed", None),
        ("head.4.0", "both", 4, "pending", None),
    ]
    floors = SCORE["floors"] | {"list": None, "rotated": None}  # which an older log does not have
    assert found[0]["scores"] == [SCORE | {"floors": floors}], "only the winner's are a target's"
    assert [found[0][key] for key in ("tier", "headline", "meaning", "residue", "bits")] == 5 * [
        None
    ]
    assert found[0]["explanation"] == CONCLUSION["explanation"]
    assert (found[1]["error"], found[1]["explanation"], found[1]["scores"]) == (
        "it broke",
        None,
        [],
    )
    contract = [
        "target",
        "side",
        "layer",
        "status",
        "explanation",
        "predicate",
        "verdict",
        "p",
        "seconds",
        "calls",
    ]
    contract += ["usd", "failed_scores", "scores"]
    assert set(contract) <= set(found[2])


def test_verdicts_join_their_targets_and_sealing_changes_nothing(run: Path) -> None:
    log = RunLog(run)
    log.write(
        "verdicts",
        {"rows": [{"target": "mlp.1.2", "verdict": "kept", "reason": "why", "p": 0.002}]},
    )
    log.close()
    before = target_rows(run)
    assert (before[0]["verdict"], before[0]["p"]) == ("kept", 0.002)
    RunLog(run).seal()
    assert target_rows(run) == before


def test_experiments_view_joins_prediction_and_outcome(run: Path) -> None:
    with connect(run) as db:
        assert db.execute(
            "select hypothesis, relation, observed, outcome from experiments"
        ).fetchall() == [("h1", "fires", 2.0, "for")]


def test_a_half_written_line_does_not_hinder_reading(run: Path) -> None:
    segment = next((run / "events").glob("*.jsonl"))
    with segment.open("a") as file:
        file.write('{"seq": 99, "time": "2026", "event": "concl')
    assert len(target_rows(run)) == 3


def test_a_run_that_has_written_nothing_yet_has_pending_rows(tmp_path: Path) -> None:
    run_config(index="i", targets=["mlp.1.2"]).save(tmp_path)
    assert [r["status"] for r in target_rows(tmp_path)] == ["pending"]


def test_what_a_resumed_run_wrote_again_stands_in_the_same_order(run: Path) -> None:
    """Each writer counts its events from 1, so that the count alone does not say what came first."""
    for number in range(3):
        log = RunLog(run)
        log.write(
            "hypothesis",
            {"sentence": f"later {number}", "round": 1},
            target="mlp.1.2",
            id=f"h{number + 2}",
        )
        for split in ("holdout", "select"):
            score = SCORE | {"hypothesis": "h1", "split": split}
            log.write("score", score, target="mlp.1.2", id=f"h1/simulation/{split}/random")
        log.close()
    assert [(s["split"], s["text"]) for s in target_rows(run)[0]["scores"]] == [
        ("select", "random"),
        ("holdout", "random"),
    ]
    with connect(run) as db:
        order = [row[0] for row in db.execute("select id from hypotheses order by seq").fetchall()]
    assert order == ["h1", "h2", "h3", "h4"]
