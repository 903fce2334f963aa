"""Which batches are run twice, and what is made of their times."""

from __future__ import annotations

import pytest

from hubel.tools.index.pass_clock import PassClock, is_timed


def timed_turns(n: int) -> list[int]:
    return [turn for turn in range(n) if is_timed("explore", turn, n)]


@pytest.mark.parametrize(
    ("batches", "turns"),
    [(0, []), (1, [0]), (2, [0]), (3, [1]), (12, [5]), (40, [19]), (41, [20]), (100, [20, 60])],
)
def test_one_batch_of_forty_is_run_twice_and_one_of_fewer(batches: int, turns: list[int]) -> None:
    assert timed_turns(batches) == turns


def test_other_splits_are_read_once() -> None:
    assert not any(is_timed(split, turn, 3) for split in ("select", "holdout") for turn in range(3))


def test_the_share_of_the_timed_batches_is_that_of_all() -> None:
    clock = PassClock()
    for seconds, bare in ((2.0, None), (4.0, 3.0), (6.0, None)):
        clock.add_batch(seconds, bare)
    assert clock.total_seconds == 12.0
    assert clock.forward_seconds == 9.0
    clock.total_seconds += 6.0
    assert clock.forward_share == 0.5


def test_a_bare_pass_that_took_longer_counts_as_long_as_the_whole_one() -> None:
    clock = PassClock()
    clock.add_batch(2.0, 3.0)
    assert clock.forward_seconds == 2.0
