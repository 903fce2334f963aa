"""The programs by name."""

from __future__ import annotations

from ...tools.errors import UsageError
from . import programs_copy, programs_count, programs_decide  # noqa: F401 - they register programs
from .program import Program
from .registry import PROGRAMS


def program(name: str) -> Program:
    """A new program by name.

    Raises:
        UsageError: the name is unknown; the message lists the known ones.
    """
    if name not in PROGRAMS:
        raise UsageError(f"program {name!r} given; known: {', '.join(sorted(PROGRAMS))}")
    return PROGRAMS[name]()


def names() -> list[str]:
    """All program names, sorted."""
    return sorted(PROGRAMS)
