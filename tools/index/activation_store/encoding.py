"""Numbers as bytes and back."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ..float16_file import to_float16
from .layout import Encoding


def encode(
    values: Float[Tensor, "token width"], encoding: Encoding
) -> UInt8[np.ndarray, "token byte"] | None:
    """Rows as they are stored; None if the encoding cannot hold one of the numbers."""
    array = values.float().cpu().numpy()
    stored = to_float16(array) if encoding == "float16" else np.ascontiguousarray(array, np.float32)
    if encoding == "float16" and not np.isfinite(stored).all():
        return None
    return stored.view(np.uint8)


def decode(stored: Float[np.ndarray, "token width"]) -> Float[Tensor, "token width"]:
    """Stored rows as float32."""
    # Files are read into memory that cannot be written to, which torch warns about; nothing writes.
    return torch.from_numpy(stored if stored.flags.writeable else stored.copy()).float()
