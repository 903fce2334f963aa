"""Numbers as bytes and back.

float16, float32   the numbers themselves
int8               rotated, divided by a scale for each token, and rounded to whole numbers

A language model's vectors have a few numbers that are far larger than the others. With one scale for
a vector the others would be lost, so all are mixed first:

1. Change signs at random, then apply the cosine transform (orthonormal, DCT-II). The result is a
   rotation of the vector in which no number is far larger than the others; it
   follows from the width alone.
2. Scale: the largest absolute number, divided by 127.

The error is spread evenly over all directions: 0.7 % of a vector of 576 numbers. So that this is
harmless for the residual stream too, an MLP's input is balanced first (`balance`).
`docs/design/activation-store.md` has what that does to activations.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from ..float16_range import LARGEST
from .layout import StoredArray

ROWS_AT_ONCE = 256
"""0.6 MB of 576 numbers, which stay in a core's cache from one step to the next."""
_LEVELS = 127


def encode(
    values: Float[Tensor, "token width"], array: StoredArray
) -> UInt8[np.ndarray, "token byte"] | None:
    """Rows as they are stored; None if the encoding cannot hold one of the numbers."""
    if array.encoding == "float32":
        return _as_bytes(values.float())
    lowest, highest = (float(bound) for bound in values.aminmax())  # a NaN is in both
    if array.encoding == "int8":
        if not np.isfinite([lowest, highest]).all():
            return None
        return _to_int8(values.float().cpu().numpy(), array)
    if not (lowest >= -LARGEST and highest <= LARGEST):
        return None
    return _as_bytes(values.half())


def decode(stored: Shaped[np.ndarray, " token ..."], array: StoredArray) -> Tensor:
    """Stored rows as float32, (token, width)."""
    if array.encoding == "int8":
        return torch.from_numpy(_from_int8(stored))
    # Files are read into memory that cannot be written to, which torch warns about; nothing writes.
    return torch.from_numpy(stored if stored.flags.writeable else stored.copy()).float()


def _as_bytes(values: Float[Tensor, "token width"]) -> UInt8[np.ndarray, "token byte"]:
    return values.contiguous().cpu().numpy().view(np.uint8)


def _to_int8(
    values: Float[np.ndarray, "token width"], array: StoredArray
) -> UInt8[np.ndarray, "token byte"]:
    from scipy.fft import dct

    rows = np.empty(len(values), array.dtype)
    signs = _signs(array.width)
    for start in range(0, len(values), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        rotated = torch.from_numpy(dct(values[part] * signs, norm="ortho", axis=1))
        scale = rotated.abs().amax(dim=1, keepdim=True) / _LEVELS
        scale[scale == 0] = 1  # a vector of zeros
        rows["values"][part] = (rotated / scale).round_().to(torch.int8).numpy()
        rows["scale"][part] = scale[:, 0].numpy()
    return rows.view(np.uint8).reshape(len(rows), -1)


def _from_int8(rows: Shaped[np.ndarray, " token"]) -> Float[np.ndarray, "token width"]:
    from scipy.fft import idct

    signs = _signs(rows["values"].shape[1])
    values = np.empty(rows["values"].shape, np.float32)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[start : start + ROWS_AT_ONCE]
        rotated = part["values"] * part["scale"][:, None]
        back = cast(np.ndarray, idct(rotated, norm="ortho", axis=1))
        values[start : start + len(part)] = back * signs
    return values


@cache
def _signs(width: int) -> Float[np.ndarray, " width"]:
    """Part of the format: the bits of SHAKE-256 of nothing."""
    bits = np.frombuffer(hashlib.shake_256().digest(-(-width // 8)), np.uint8)
    return 1 - 2 * np.unpackbits(bits)[:width].astype(np.float32)
