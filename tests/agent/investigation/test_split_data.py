"""Explore and select of a target: its signal, and what counts as firing and as silent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hubel.tools.subject.address import Unit
from tests.support.made_investigation import made_context


def test_a_side_is_the_part_of_the_activation_that_is_explained(tmp_path: Path) -> None:
    data = made_context(tmp_path).data
    both, negative = (data.of(Unit.parse(name), "select") for name in ("mlp.1.0", "mlp.1.0-"))
    np.testing.assert_array_equal(negative.signal, np.maximum(-both.signal, 0))
    assert not negative.mask[:, 0].any(), "position 0 never counts"


def test_the_splits_have_their_own_text(tmp_path: Path) -> None:
    data = made_context(tmp_path).data
    explore, select = (data.of(Unit("mlp", 0, 0), split) for split in ("explore", "select"))
    assert not np.array_equal(explore.tokens, select.tokens)
    assert explore.cache is select.cache


@pytest.mark.parametrize(("side", "sign"), [("+", 1.0), ("-", -1.0)])
def test_thresholds_are_quantiles_of_the_signed_activation_on_explore(
    tmp_path: Path, side: str, sign: float
) -> None:
    data = made_context(tmp_path).data
    unit = Unit("mlp", 1, 0)
    explore = data.collected("explore")
    signed = sign * explore.activations(unit)[explore.mask]
    thresholds = data.thresholds(unit, side)
    assert thresholds.q50 == pytest.approx(np.quantile(signed, 0.5))
    assert thresholds.q90 == pytest.approx(np.quantile(signed, 0.9))
