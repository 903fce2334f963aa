"""Fast conversion to float16, and fast transposition.

numpy converts float32 to float16 one number at a time; torch is nine times as fast.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped

_NUMBERS_A_CALL = 1 << 15
"""Below this torch starts no threads; we have several already (`thread_team`)."""
_ROWS_AT_ONCE = 32
"""64 bytes of float16, a line of a core's cache: half the time of numpy's own copy, and that of torch."""


def to_float16(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Convert to float16; numbers out of its range become infinite (`float16_range`)."""
    import torch  # what reads and merges is without it

    source = torch.from_numpy(np.ascontiguousarray(values, np.float32)).view(-1)
    result = torch.empty(source.shape, dtype=torch.float16)
    for start in range(0, len(source), _NUMBERS_A_CALL):
        stop = start + _NUMBERS_A_CALL
        result[start:stop] = source[start:stop]
    return result.numpy().reshape(values.shape)


def transposed_copy(values: Shaped[np.ndarray, "a b"]) -> Shaped[np.ndarray, "b a"]:
    """A transposed copy, made block by block."""
    copy = np.empty(values.shape[::-1], values.dtype)
    for start in range(0, len(values), _ROWS_AT_ONCE):
        stop = start + _ROWS_AT_ONCE
        copy[:, start:stop] = values[start:stop].T
    return copy
