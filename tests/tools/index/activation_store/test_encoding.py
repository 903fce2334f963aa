"""Numbers as bytes and back: how large the error is, and what cannot be stored."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hubel.tools.index.activation_store.encoding import decode, encode
from hubel.tools.index.activation_store.layout import Encoding, StoredArray

ENCODINGS: tuple[Encoding, ...] = ("float16", "float32", "int8")


def _round_trip(values: torch.Tensor, encoding: Encoding) -> torch.Tensor:
    array = StoredArray("mlp_in", 0, values.shape[1], encoding)
    encoded = encode(values, array)
    assert encoded is not None
    assert encoded.shape == (len(values), array.row_bytes)
    return decode(array.rows(encoded.reshape(-1)), array)


def _outliers(width: int = 96, tokens: int = 600) -> torch.Tensor:
    """Vectors with two numbers a hundred times as large as the others, as language models have."""
    values = torch.randn(tokens, width, generator=torch.Generator().manual_seed(0))
    values[:, [3, 17]] *= 100
    return values


@pytest.mark.parametrize(("encoding", "bound"), [("float16", 5e-4), ("float32", 0), ("int8", 0.01)])
def test_the_error_of_a_vector_is_bounded(encoding: Encoding, bound: float) -> None:
    values = _outliers()
    error = (_round_trip(values, encoding) - values).norm(dim=1) / values.norm(dim=1)
    assert error.max() <= bound


def test_eight_bits_are_off_by_half_a_step_of_the_rotated_vector() -> None:
    values = _outliers()
    array = StoredArray("mlp_in", 0, values.shape[1], "int8")
    encoded = encode(values, array)
    assert encoded is not None
    rows = array.rows(encoded.reshape(-1))
    error = (decode(rows, array) - values).numpy()
    # A rotation keeps lengths: at most half a step for each number.
    half_steps = rows["scale"] * 0.5 * np.sqrt(values.shape[1])
    assert (np.linalg.norm(error, axis=1) <= half_steps * 1.0001).all()
    # A plain scale for each token loses the small numbers; the rotation does not.
    scale = values.abs().amax(dim=1, keepdim=True) / 127
    plain = (values / scale).round() * scale
    small = np.setdiff1d(np.arange(values.shape[1]), [3, 17])
    assert np.abs(error[:, small]).mean() < 0.5 * (plain - values)[:, small].abs().mean()


def test_the_rotation_is_part_of_the_format() -> None:
    """Other versions and machines read a store: the signs and the transform never change."""
    array = StoredArray("mlp_in", 0, 8, "int8")
    values = torch.tensor([[1.0, -2, 3, -4, 5, -6, 7, -8]])
    encoded = encode(values, array)
    assert encoded is not None
    (row,) = array.rows(encoded.reshape(-1))
    # By hand: SHAKE-256 of nothing begins with the byte 0x46, 0100 0110 in bits.
    signed = np.array([1, 2, 3, -4, 5, 6, -7, -8])
    n, k = np.arange(8), np.arange(8)[:, None]
    rotated = np.cos(np.pi * k * (2 * n + 1) / 16) @ signed / 2
    rotated[0] /= np.sqrt(2)
    step = np.abs(rotated).max() / 127
    assert row["scale"] == pytest.approx(step)
    np.testing.assert_array_equal(row["values"], np.rint(rotated / step))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_zeros_stay_zeros_and_no_rows_are_no_bytes(encoding: Encoding) -> None:
    assert (_round_trip(torch.zeros(3, 5), encoding) == 0).all()
    array = StoredArray("mlp_in", 0, 5, encoding)
    assert decode(array.rows(np.zeros(0, np.uint8)), array).shape == (0, 5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("encoding", ["float16", "int8"])
def test_numbers_that_are_not_finite_are_not_stored(encoding: Encoding, bad: float) -> None:
    values = torch.ones(4, 6)
    values[2, 5] = bad
    assert encode(values, StoredArray("mlp_in", 0, 6, encoding)) is None


def test_eight_bits_hold_what_float16_cannot() -> None:
    values = _outliers() * 1e6
    assert encode(values, StoredArray("mlp_in", 0, values.shape[1], "float16")) is None
    error = _round_trip(values, "int8") - values
    assert (error.norm(dim=1) <= 0.01 * values.norm(dim=1)).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_subject_in_half_precision_is_stored_too(dtype: torch.dtype) -> None:
    values = _outliers().to(dtype)
    for encoding in ENCODINGS:
        error = _round_trip(values, encoding) - values.float()
        assert (error.norm(dim=1) <= 0.01 * values.float().norm(dim=1)).all()
