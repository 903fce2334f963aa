"""What to do when a subject computes numbers that are not finite.

One infinite activation makes everything after it in the pass wrong, so it is an error of the pass
and not a property of a unit. It nearly always means that the subject is held in float16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ..errors import ArgumentError, UsageError

if TYPE_CHECKING:  # the review page, which lists the instruments, loads no torch
    import torch
    from torch import Tensor

_IN_FLOAT16 = (
    "float16 ends at 65,504 and is too small for it; load it with --dtype bfloat16 or float32"
)
_IN_OTHER_FORMATS = "its weights, or what this text makes of them, overflow; check the weights"


def is_finite(values: Tensor) -> bool:
    """Whether all numbers are finite."""
    import torch

    # The sum takes a twentieth of the time; where it is not finite it may itself have overflowed.
    return bool(values.sum(dtype=torch.float32).isfinite()) or bool(values.isfinite().all())


def refuse(subject: str, dtype: torch.dtype, place: str) -> NoReturn:
    """Raise UsageError about numbers that are not finite.

    Args:
        place: where they were found, such as "mlp.3.17 in document 'd5'".
    """
    kind = str(dtype).removeprefix("torch.")
    cure = _IN_FLOAT16 if kind == "float16" else _IN_OTHER_FORMATS
    raise UsageError(f"{subject} in {kind} computes numbers that are not finite at {place}: {cure}")


def require_finite(
    values: Tensor, subject: str, dtype: torch.dtype, place: str, *, edited: bool
) -> None:
    """Raise an error if some numbers are not finite.

    Args:
        edited: whether the pass was intervened in.

    Raises:
        UsageError: the subject overflows by itself.
        ArgumentError: it may be the intervention's doing, which can be made smaller.
    """
    if is_finite(values):
        return
    if edited:
        raise ArgumentError(
            f"with this intervention {subject} computes numbers that are not finite at {place}; "
            "give smaller values (or load the subject with --dtype float32)"
        )
    refuse(subject, dtype, place)
