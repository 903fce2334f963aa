"""Splits by group: nothing of a group is on two sides, and classes keep their proportions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.tools.datasets import independent_groups, require_separate, split_by_group
from hubel.tools.errors import UsageError


@given(st.integers(0, 2**31), st.integers(30, 60), st.integers(2, 4))
@settings(max_examples=25, deadline=None)
def test_groups_stay_whole_and_every_row_is_used_once(
    seed: int, n_groups: int, n_classes: int
) -> None:
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_groups), random.integers(1, 6, n_groups))
    labels = [f"c{number % n_classes}" for number in group]
    parts = split_by_group(labels, group, seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(group)))
    owners = [set(group[rows].tolist()) for rows in parts]
    assert sum(map(len, owners)) == n_groups


def test_parts_have_the_sizes_and_classes_of_the_whole() -> None:
    random = np.random.default_rng(0)
    labels = np.where(random.random(4000) < 0.2, "rare", "common")
    parts = split_by_group(labels, np.arange(4000), 1, (0.6, 0.1, 0.3))
    share = (labels == "rare").mean()
    for rows, fraction in zip(parts, (0.6, 0.1, 0.3), strict=True):
        assert len(rows) == pytest.approx(fraction * 4000, abs=2)
        assert (labels[rows] == "rare").mean() == pytest.approx(share, abs=0.01)


def test_the_seed_decides() -> None:
    labels, groups = ["a", "b"] * 50, np.arange(100)
    first, again, other = (split_by_group(labels, groups, seed) for seed in (0, 0, 1))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert first.test.tolist() != other.test.tolist()


def test_a_part_of_fraction_zero_is_empty() -> None:
    parts = split_by_group(["a", "b"] * 10, np.arange(20), 0, (0.5, 0.0, 0.5))
    assert [len(rows) for rows in parts] == [10, 0, 10]


def test_near_duplicates_join_groups() -> None:
    story = "The committee met on Tuesday to discuss the new harbour and its cost to the town. "
    texts = [story + "It ended late.", story + "It ended early.", "Nobody came to the picnic."]
    assert independent_groups(texts, ["a", "b", "c"]).tolist() == [0, 0, 1]
    assert independent_groups(["x", "y", "x"]).tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("labels", "groups", "message"),
    [
        (["a", "a"], ["1", "2"], "all labels are 'a'"),
        (["a", "b"], ["1"], "2 labels, 1 groups"),
        ([], [], "0 labels, 0 groups"),
        (["a"] * 9 + ["b"] * 2, list("123456789xy"), "label 'b' has rows of 2 groups"),
    ],
)
def test_what_cannot_be_split_is_refused(
    labels: list[str], groups: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        split_by_group(labels, groups)
    with pytest.raises(UsageError, match="three of at least 0 that sum to 1"):
        split_by_group(["a", "b"], ["1", "2"], 0, (0.5, 0.5, 0.5))


def test_a_group_that_leaks_is_named() -> None:
    require_separate(["a", "b", "c"], [0], [1, 2])
    with pytest.raises(UsageError, match="group 'a' is in two parts"):
        require_separate(["a", "b", "a"], [0], [1, 2])
