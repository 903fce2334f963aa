"""Targets are counted once and in one way, in every output."""

from __future__ import annotations

from pathlib import Path

from hubel.agent.cli.targets_table import summary
from hubel.agent.runlog.config import RunConfig
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.target_counts import count_targets
from hubel.agent.runlog.views import target_rows

TARGETS = ["mlp.0.0", "mlp.0.1", "mlp.0.2", "mlp.0.3"]


def test_a_target_that_failed_and_finished_later_is_done_and_shows_no_failure(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    RunConfig("index", TARGETS).save(folder)
    log = RunLog(folder)
    for target in TARGETS[:2]:
        log.write("failure", {"error": "the disk is full"}, target=target)
    conclusion = {"explanation": None, "hypothesis": None, "cannot_explain": "nothing fits"}
    for target in (TARGETS[0], TARGETS[2]):
        log.write("conclusion", conclusion, target=target)
    assert count_targets(log, TARGETS) == (2, 1, 1)
    rows = target_rows(folder)
    assert [row["status"] for row in rows] == ["done", "failed", "done", "pending"]
    assert [row["error"] for row in rows] == [None, "the disk is full", None, None]
    line = "4 targets: 0 kept, 2 explained without a verdict yet, 1 failed, 1 pending"
    assert summary(rows).startswith(line)
