from __future__ import annotations

import numpy as np
import pytest

from hubel.evals.statistics.sample import Sample
from hubel.tools.errors import UsageError


def test_padding_is_never_read():
    values = np.array([[np.nan, 1.0, 2.0], [np.inf, 3.0, np.nan]])
    mask = np.array([[False, True, True], [False, True, False]])
    sample = Sample(values, values, mask, np.array([0, 1]))
    assert sample.true.tolist() == [[0, 1, 2], [0, 3, 0]]


@pytest.mark.parametrize("side", ["predicted", "true"])
def test_a_prediction_that_is_not_finite_is_an_error_and_names_the_token(side: str):
    arrays = {"predicted": np.ones((2, 3)), "true": np.ones((2, 3))}
    arrays[side][1, 2] = np.nan
    with pytest.raises(UsageError, match=f"{side} activation nan at context 1, position 2"):
        Sample(arrays["predicted"], arrays["true"], np.ones((2, 3), bool), np.zeros(2, int))


@pytest.mark.parametrize(
    ("shape", "mask", "document", "message"),
    [
        ((2, 4), np.ones((2, 3), bool), np.zeros(2, int), r"expected the mask's \(2, 3\)"),
        ((2, 3), np.ones((2, 3), bool), np.zeros(3, int), "expected"),
        ((2, 3), np.zeros((2, 3), bool), np.zeros(2, int), "no token"),
    ],
)
def test_what_does_not_fit_together_is_refused(shape, mask, document, message):
    with pytest.raises(UsageError, match=message):
        Sample(np.zeros(shape), np.zeros(shape), mask, document)


def test_active_documents_counts_documents_and_not_contexts():
    true = np.array([[0, 1.0], [0, 2.0], [0, 0.0], [5.0, 0.0]])  # the last fires only at position 0
    mask = np.broadcast_to(np.array([False, True]), true.shape)
    assert Sample(true, true, mask, np.array([7, 7, 8, 9])).active_documents == 1
