"""What an explainer is shown first: both sides of a neuron, one of a head, and levels for a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hubel.agent.investigation.observe import observe_for_model, observe_unit
from hubel.tools.subject.address import Unit
from tests.support.made_investigation import RecordingDesk, made_context


@pytest.mark.parametrize(
    ("address", "keys"),
    [
        ("mlp.1.0-", {"statistics", "exemplars+", "exemplars-", "logit_lens"}),
        ("head.0.0", {"statistics", "exemplars+"}),
    ],
)
def test_a_head_has_one_side_and_no_lens(tmp_path: Path, address: str, keys: set[str]) -> None:
    context: Any = made_context(tmp_path)
    context.instruments = desk = RecordingDesk()
    unit = Unit.parse(address)
    assert set(observe_unit(context, unit)) == keys
    assert {arguments["unit"] for _, arguments in desk.calls} == {str(unit.unsided)}


def test_a_model_also_sees_middling_contexts_and_what_counts_as_firing(tmp_path: Path) -> None:
    context: Any = made_context(tmp_path)
    context.instruments = RecordingDesk()
    unit = Unit.parse("mlp.0.0")
    observation = observe_for_model(context, unit)
    assert {"middling+", "middling-"} <= set(observation)
    thresholds = context.data.thresholds(unit, "-")
    assert observation["thresholds"]["-"]["q50"] == thresholds.q50
    assert observation["thresholds"]["-"]["q90"] == thresholds.q90
