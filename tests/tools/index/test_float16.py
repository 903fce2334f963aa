"""Sorting float16 numbers by their bits, against numpy."""

from __future__ import annotations

import numpy as np

from hubel.tools.index.float16 import sorted_rows


def test_rows_are_sorted_as_numpy_sorts_them() -> None:
    rng = np.random.default_rng(0)
    values = (rng.standard_normal((50, 301)) * 10.0 ** rng.integers(-8, 5, (50, 1))).astype("f2")
    values[0, :4] = [0.0, -0.0, np.inf, -np.inf]
    ordered = sorted_rows(values)
    assert ordered.dtype == np.float32
    assert np.array_equal(ordered, np.sort(values.astype(np.float32), axis=1))
    assert list(np.signbit(ordered[0][ordered[0] == 0])) == [True, False]
