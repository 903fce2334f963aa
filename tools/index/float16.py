"""float32 to float16, which numpy does number by number and torch nine times as fast."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

_LARGEST = 65504.0
_PIECE = 1 << 15
"""Numbers a call: torch's own limit below which it starts no further threads, as ours are many already."""


def to_float16(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """As float16, with what is out of its range at the range's end."""
    if values.size and not (values.min() >= -_LARGEST and values.max() <= _LARGEST):
        values = np.clip(values, -_LARGEST, _LARGEST)
    source = torch.from_numpy(np.ascontiguousarray(values, np.float32)).view(-1)
    result = torch.empty(source.shape, dtype=torch.float16)
    for start in range(0, len(source), _PIECE):
        result[start : start + _PIECE] = source[start : start + _PIECE]
    return result.numpy().reshape(values.shape)


def transposed_copy(values: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "b a"]:
    """A transposed copy; torch goes block by block, numpy does not."""
    return torch.from_numpy(values).t().contiguous().numpy()
