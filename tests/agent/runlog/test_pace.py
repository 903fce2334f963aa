"""The time left against the end of simulated steps: slow starts, unequal units, bunches."""

from __future__ import annotations

import io
from collections.abc import Sequence
from heapq import heappop, heappush

import numpy as np
import pytest

from hubel.agent.runlog.pace import MOST, Pace
from hubel.agent.runlog.progress import LineReporter, time_of


def ends(costs: Sequence[float], at_once: int = 1) -> list[float]:
    """When each unit ends, in order, if so many are worked on side by side."""
    busy: list[float] = []
    ended = []
    for cost in costs:
        start = heappop(busy) if len(busy) == at_once else 0.0
        heappush(busy, start + cost)
        ended.append(start + cost)
    return sorted(ended)


def worst_error(costs: Sequence[float], at_once: int = 1) -> float:
    """The largest error of the time left after the first tenth, as a share of what was left.

    The second round has ended by then, since the first one may have been slow.
    An error of less than two units is none: nobody waits for it.
    """
    times, n = ends(costs, at_once), len(costs)
    pace, worst = Pace(0.0, 0, at_once), 0.0
    for done, time in enumerate(times, start=1):
        pace.add(time, done)
        left = times[-1] - time
        if done >= max(n / 10, 2 * at_once) and left > 0:
            shown = pace.seconds_left(time, n)
            assert shown is not None
            error = max(0.0, abs(shown - left) - 2 * float(np.mean(costs)))
            worst = max(worst, error / left)
    return worst


@pytest.mark.parametrize("at_once", [1, 8])
@pytest.mark.parametrize("n", [40, 200, 2000])
def test_a_slow_first_unit_does_not_count(n: int, at_once: int) -> None:
    assert worst_error([60.0] * at_once + [1.0] * (n - at_once), at_once) < 0.02


def test_units_that_are_worked_on_side_by_side_end_in_bunches() -> None:
    assert worst_error([3.0] * 200, at_once=8) < 0.01


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("at_once", [1, 8])
def test_units_of_unequal_cost_are_right_on_average(at_once: int, seed: int) -> None:
    costs = np.random.default_rng(seed).gamma(4, 0.5, 400)  # the deviation is half of the mean
    assert worst_error(costs.tolist(), at_once) < 0.25


def test_a_resumed_step_counts_what_it_does_itself() -> None:
    pace = Pace(100.0, 900)
    for second in range(1, 5):
        pace.add(100.0 + second, 900 + 10 * second)
    assert pace.seconds_left(104.0, 1000) == pytest.approx(6.0)


def test_the_time_left_goes_down_between_two_reports_and_never_below_zero() -> None:
    pace = Pace(0.0, 0)
    for done in (1, 2, 3):
        pace.add(float(done), done)
    assert [pace.seconds_left(3.0 + wait, 10) for wait in (0, 1, 30)] == [7.0, 6.0, 0.0]


def test_nothing_is_said_before_anything_is_known() -> None:
    pace = Pace(0.0, 0)
    assert pace.units_per_second() is None
    assert pace.seconds_left(5.0, 10) is None
    pace.add(5.0, 0)
    assert pace.seconds_left(5.0, 10) is None
    pace.add(6.0, 3)
    assert pace.seconds_left(6.0, None) is None


def test_a_step_that_begins_again_has_a_new_pace() -> None:
    pace = Pace(0.0, 0)
    pace.add(1.0, 50)
    pace.add(100.0, 0)
    pace.add(102.0, 2)
    assert pace.units_per_second() == 1.0


def test_a_long_step_keeps_a_few_marks_and_follows_a_machine_that_slows_down() -> None:
    pace, time = Pace(0.0, 0), 0.0
    for done in range(1, 20_001):
        time += 1.0 if done <= 6_000 else 3.0
        pace.add(time, done)
    assert len(pace._marks) <= MOST
    assert pace.seconds_left(time, 21_000) == pytest.approx(3_000, rel=0.05)


def test_plain_lines_and_bars_say_the_same_time_left() -> None:
    now, stream = [0.0], io.StringIO()
    report = LineReporter(stream, every=0, clock=lambda: now[0])
    for done in range(4):
        now[0] = 60.0 + done if done else 0.0  # the first unit loads something for a minute
        report.update("nearest units", done, 30)
    assert "0:27 left" in stream.getvalue().splitlines()[-1]
    assert time_of(Pace(0.0, 0), 10, None) == ""
    assert time_of(Pace(0.0, 0), 10, 130.0) == "took 2:10"
