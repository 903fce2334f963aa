"""The page counts targets as the terminal does, and its filters let through what its words say."""

from __future__ import annotations

from pathlib import Path

from hubel.agent.review.run_catalog import RunCatalog
from hubel.agent.runlog.log import RunLog
from tests.agent.review.conftest import serving
from tests.support.configs import run_config

TARGETS = ["mlp.0.0", "mlp.0.1", "mlp.0.2", "mlp.0.3", "mlp.0.4"]


def test_every_target_is_counted_once_and_found_by_its_word(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "run"
    run_config(index="nowhere", targets=TARGETS).save(folder)
    log = RunLog(folder)
    log.write("conclusion", {"explanation": "It fires."}, target=TARGETS[0])
    log.write("failure", {"error": "no memory"}, target=TARGETS[1])
    log.write("failure", {"error": "no memory"}, target=TARGETS[2])
    log.write("conclusion", {"explanation": None, "cannot_explain": "no"}, target=TARGETS[2])
    log.close()
    with serving(RunCatalog(folder.parent)) as client:
        row = client.get("/api/runs").json["runs"][0]
        counts = {name: row[name] for name in ("targets", "done", "failed", "pending", "undecided")}
        assert counts == {"targets": 5, "done": 2, "failed": 1, "pending": 2, "undecided": 2}
        for word, expected in (
            ("pending", TARGETS[3:]),
            ("failed", [TARGETS[1]]),
            ("undecided", [TARGETS[0], TARGETS[2]]),
            ("failed,pending", [TARGETS[1], *TARGETS[3:]]),
        ):
            listed = client.get(f"/api/runs/run/targets?verdict={word}").json
            assert [row["target"] for row in listed["rows"]] == expected
            assert listed["total"] == len(expected)
        rows = {row["target"]: row for row in client.get("/api/runs/run/targets").json["rows"]}
        assert rows[TARGETS[1]]["error"] == "no memory"
        assert rows[TARGETS[2]]["error"] is None  # it ended later, and the old failure is over
