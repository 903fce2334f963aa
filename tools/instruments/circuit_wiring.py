"""What an instrument says about a subject that cannot be opened as a circuit model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ArgumentError, UsageError


@contextmanager
def circuit_wiring(name: str) -> Iterator[None]:
    """Opening a circuit model in an instrument.

    A blinded explainer may read the error, so it names neither the subject's family nor a file.

    Raises:
        ArgumentError: the family's wiring is not described, or does not fit.
    """
    try:
        yield
    except UsageError as error:
        raise ArgumentError(
            f"{name}: not for this subject, which normalises its writes, or whose wiring is not "
            "described; use other instruments"
        ) from error
