"""Numbers as bytes and back."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ..float16_range import LARGEST
from .layout import Encoding


def encode(
    values: Float[Tensor, "token width"], encoding: Encoding
) -> UInt8[np.ndarray, "token byte"] | None:
    """Rows as they are stored; None if the encoding cannot hold one of the numbers."""
    if encoding == "float32":
        return _as_bytes(values.float())
    lowest, highest = (float(bound) for bound in values.aminmax())
    if not (lowest >= -LARGEST and highest <= LARGEST):  # a NaN is in both
        return None
    return _as_bytes(values.half())


def _as_bytes(values: Float[Tensor, "token width"]) -> UInt8[np.ndarray, "token byte"]:
    return values.contiguous().cpu().numpy().view(np.uint8)


def decode(stored: Float[np.ndarray, "token width"]) -> Float[Tensor, "token width"]:
    """Stored rows as float32."""
    # Files are read into memory that cannot be written to, which torch warns about; nothing writes.
    return torch.from_numpy(stored if stored.flags.writeable else stored.copy()).float()
