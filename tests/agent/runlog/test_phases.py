"""Where the time of a run goes: phases that add up, steps of many threads, and the event."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.phases import EVENT, OTHER, RunClock


def _spin(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_an_inner_phase_stops_the_clock_of_the_outer_one() -> None:
    started, clock = time.monotonic(), RunClock()
    with clock.phase("collect"):
        _spin(0.02)
        with clock.phase("load the subject"):
            time.sleep(0.05)
    summary = clock.summary()
    elapsed = time.monotonic() - started
    by_name = {row["name"]: row for row in summary["phases"]}
    assert list(by_name) == ["collect", "load the subject", OTHER]
    assert by_name["load the subject"]["seconds"] >= 0.05
    assert by_name["collect"]["cpu_seconds"] >= 0.02
    assert sum(row["seconds"] for row in summary["phases"]) <= elapsed + 0.002  # rounded to 1 ms
    assert summary["cpu_seconds_before"] > 0


def test_steps_of_many_threads_count_their_own_cpu_time() -> None:
    clock = RunClock()

    def investigate() -> None:
        with clock.step("select"):
            _spin(0.01)

    threads = [threading.Thread(target=investigate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (step,) = clock.summary()["steps"]
    assert step["name"] == "select"
    assert 0.04 <= step["cpu_seconds"] <= step["seconds"] + 0.04


def test_an_interrupted_execution_is_recorded_too(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    with pytest.raises(KeyboardInterrupt), RunClock().recorded(log):
        raise KeyboardInterrupt
    with RunClock().recorded(log):
        pass
    assert list(log.all(EVENT)) == ["1", "2"]
