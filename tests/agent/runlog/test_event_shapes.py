"""Values that are not of their type are found, however many good values surround them."""

from __future__ import annotations

from typing import Any

import pytest

from hubel.agent.runlog.event_shapes import misfit

HUGE = 10**400
"""An integer beyond any float; JSON may hold one."""


def activations(values: list[Any]) -> dict[str, Any]:
    return {"exemplars+": {"exemplars": [{"activations": values}]}}


@pytest.mark.parametrize("values", [[], [0, 0.5, -1], [1e308, 1e308], [10**30, 0.5]])
def test_finite_numbers_fit(values: list[Any]) -> None:
    assert misfit("observation", activations(values)) == ""


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ([0.5, HUGE], 1),
        ([HUGE, -HUGE], 0),
        ([1.0, float("inf"), float("-inf")], 1),
        ([1, None], 1),
        ([1, True], 1),
        ([1, "2"], 1),
    ],
)
def test_what_is_not_a_number_is_named_with_its_place(values: list[Any], place: int) -> None:
    found = misfit("observation", activations(values))
    assert found.startswith(f"exemplars+.exemplars[0].activations[{place}] is ")
    assert found.endswith("a number is expected")
