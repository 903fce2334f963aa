"""Depth profiles against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.tools.representation.depth import centre_of_gravity, depth_draws


def test_the_centre_is_the_mean_depth_of_what_is_added() -> None:
    assert centre_of_gravity(np.array([0.3, 0.3, 0.3])) == 0  # there from the start
    assert centre_of_gravity(np.array([0, 0, 0, 0.5])) == pytest.approx(3)
    assert centre_of_gravity(np.array([0.1, 0.1, 0.3, 0.4])) == pytest.approx((2 * 2 + 3) / 4)
    falls = np.array([0.0, 0.4, 0.2, 0.2, 0.2])  # a fall takes nothing back
    assert centre_of_gravity(falls) == pytest.approx(1)
    assert centre_of_gravity(np.array([-0.1, -0.2, -0.1])) == 1  # nothing: the middle


def test_the_first_draw_is_all_texts_and_groups_are_drawn_whole() -> None:
    correct = np.array([[1, 1, 0, 0], [1, 1, 1, 0]], dtype=bool)
    control = np.full((2, 4), 0.5)
    gain = depth_draws(correct, control, np.array([0, 0, 1, 1])).gain
    assert gain[0].tolist() == [0.0, 0.25]
    assert {tuple(row) for row in gain[1:].tolist()} == {(0.5, 0.5), (0.0, 0.25), (-0.5, 0.0)}
