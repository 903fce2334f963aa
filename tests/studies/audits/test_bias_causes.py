"""What is concluded from runs with suspects and placebos: the sequence, the share, and a naive mean."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.bench.studies.checks.bias_causes import SETS, measured_with, planted_fall
from hubel.studies.audits.bias_causes import bias_causes, conclude, drops_of
from hubel.studies.audits.measure_causes import item_weights
from hubel.studies.study_context import StudyContext
from hubel.tools.bias import BiasItem, weigh
from hubel.tools.errors import UsageError
from tests.support.tiny_encoder import tiny_encoder


def test_a_planted_fall_is_recovered() -> None:
    assert planted_fall(7)


def test_a_fall_is_the_weighted_mean_less_that_of_placebos() -> None:
    measured = measured_with(0, (0.5, 0.0, 0.0))
    drop = drops_of(measured, "winobias", 0)
    before, after = measured["winobias.before"], measured["winobias.after"]
    placebo = measured["winobias.placebo"]
    expected = np.mean(before - after) - np.mean([np.mean(before - row) for row in placebo])
    assert drop.interval.value == pytest.approx(expected)
    worse = sum(np.mean(before - row) >= np.mean(before - after) for row in placebo)
    assert drop.placebo_share == pytest.approx((1 + worse) / (1 + len(placebo)))


def test_after_a_failure_nothing_further_is_tested() -> None:
    first, *rest = conclude(measured_with(1, (0.0, 0.5, 0.5)), "units", SETS).claims
    assert first.verdict != "supported"
    assert [claim.verdict for claim in rest] == ["cannot say"] * 3
    assert all("not tested" in claim.claim for claim in rest)


def test_placebos_that_do_as_much_leave_nothing_to_say() -> None:
    measured = measured_with(2, (0.5, 0.0, 0.0))
    placebo = measured["winobias.placebo"]
    placebo[:3] = measured["winobias.after"] - 1
    claim = conclude(measured, "units", SETS).claims[0]
    assert claim.verdict == "cannot say"
    assert "of placebos do as much" in claim.claim


def test_a_layer_of_units_and_an_encoder_are_refused() -> None:
    with pytest.raises(UsageError, match="layer 3 given; it is of --mitigation erasure"):
        bias_causes(StudyContext(), layer=3)
    with pytest.raises(UsageError, match="is an encoder"):
        bias_causes(StudyContext([tiny_encoder()]))


def test_genders_weigh_the_same_however_many_items_they_have() -> None:
    text = weigh([1, 2], [1])
    items = [BiasItem((text, text), "g", "male" if n < 3 else "female") for n in range(12)]
    weights = item_weights("winobias", items)
    assert weights[:3].sum() == pytest.approx(0.5)
    assert weights.sum() == pytest.approx(1)
    assert item_weights("stereoset", items) == pytest.approx(1 / 12)
