"""A short soak; `hubel bench soak` is the long one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hubel.bench.actions.soak import _show
from hubel.bench.loopback import Entry, Ledger
from hubel.bench.soak import Promise, Size, SoakResult, bombs, pressure, soak
from hubel.bench.soak.flips import OUTCOMES

SHORT = Size(
    kills=3,
    shard_kills=4,
    malformed=100,
    flips=0,
    forgeries=0,
    limits=(5,),
    investigations=0,
    cpu_targets=0,
    half_open=0,
    jobs=1,
    bombs=None,
    batch_every=60,
    batch_runs=1,
)


@pytest.mark.slow
def test_bombs_of_a_model_server_end_as_errors() -> None:
    few = ("gzip", "many keys")
    tally = bombs.drop_bombs(lambda n, total: None, few)
    assert (tally.bombs, tally.crashes, tally.late) == (4, 0, 0), tally.notes
    assert tally.peak_mb < bombs.MEMORY_MB, tally.notes


@pytest.mark.slow
def test_runs_survive_kills_malformed_answers_and_budgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBEL_CACHE", "put back after the test")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    steps: list[str] = []
    result = soak(tmp_path, SHORT, lambda step, done, total, unit: steps.append(step))
    assert [p for p in result.promises if not p.kept] == [], result.notes
    batches = result.figures["batch_kills"]
    assert (batches["runs"], batches["broken"]) == (2, 0)
    assert batches["kills"] >= 2
    kills, bad = result.figures["kills"], result.figures["malformed"]
    assert (kills["killed_runs"], kills["other_rows"]) == (3, 0)
    assert kills["calls"] >= 3 * 10
    shards = result.figures["shard_kills"]
    assert shards["kills"] >= 4
    assert shards["differing"] == 0
    assert bad["answers"] >= 100
    assert bad["failed"] > 0
    assert result.figures["budgets"][0]["asked"] >= 5
    assert {"kills", "malformed", "budgets"} <= set(steps)


def test_a_broken_promise_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    counts = {"killed_runs": 1, "kills": 1, "in_flight": 0, "calls": 10}
    figures = {
        "kills": counts,
        "malformed": {"answers": 0, "harmless": 0, "kinds": 97, "runs": 0, "failed": 0},
        "flips": {"flips": 1, "by_kind": {"index: index.json": dict.fromkeys(OUTCOMES, 0)}},
    }
    result = SoakResult(
        [Promise("targets lost", 2, "0", kept=False)], figures, ["run-7: what differs"]
    )
    assert not result.kept
    _show(result, as_json=False)
    printed = capsys.readouterr().out
    assert "NO" in printed
    assert "run-7: what differs" in printed
    _show(result, as_json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (lines[0]["kept"], lines[-1]["summary"]["kept"]) == (False, False)


def test_calls_in_flight_are_allowed_over_a_budget() -> None:
    assert pressure.BudgetCheck(10, 17, 8).over == 0
    assert pressure.BudgetCheck(10, 18, 8).over == 1


def test_requests_in_flight_are_averaged_between_the_ramps() -> None:
    ledger = Ledger()
    # Three at once from 2 to 3, then two until 4.
    for started, ended in ((0.0, 4.0), (1.0, 3.0), (2.0, 5.0)):
        entry, _ = ledger.open(f"{started}", "")
        ledger.close(entry, 200, "answered")
        entry.started, entry.ended = started, ended
    assert ledger.in_flight(3) == pytest.approx(3.0)
    assert ledger.in_flight(2) == pytest.approx((2 + 3 + 2) / 3)
    assert ledger.in_flight(4) is None
    assert isinstance(ledger.entries()[0], Entry)
