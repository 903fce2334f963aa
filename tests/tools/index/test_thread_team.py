"""Threads that share work: all of it done once, by several, and failures told."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.tools.index.thread_team import ThreadTeam


@given(st.integers(0, 50), st.integers(1, 9), st.integers(1, 4))
def test_blocks_make_up_the_range(n: int, least: int, size: int) -> None:
    done: list[int] = []
    with ThreadTeam(size) as team:
        team.blocks(lambda block: done.extend(range(block.start, block.stop)), n, least)
    assert sorted(done) == list(range(n))


def test_all_threads_work() -> None:
    together = threading.Barrier(3)  # would wait for ever if fewer took part
    with ThreadTeam(3) as team:
        team.map(lambda _: together.wait(10), range(3))
    assert not together.broken


@pytest.mark.parametrize("size", [1, 3])
def test_an_exception_in_a_thread_is_raised_by_map(size: int) -> None:
    def fail(item: int) -> None:
        if item == 5:
            raise IndexError("five")

    with ThreadTeam(size) as team, pytest.raises(IndexError, match="five"):
        team.map(fail, range(9))
