"""Units whose meaning is known: suites of them, and subjects in which they are planted.

Names are imported when first used, so that a suite can be read without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .suite import PlantedPart, Suite, SuiteUnit, parse_suite, read_suite

if TYPE_CHECKING:
    from .planted_subject import PlantedSubject, addresses, plant

__all__ = [
    "PlantedPart",
    "PlantedSubject",
    "Suite",
    "SuiteUnit",
    "addresses",
    "parse_suite",
    "plant",
    "read_suite",
]


def __getattr__(name: str) -> Any:
    if name in ("PlantedSubject", "addresses", "plant"):
        return getattr(import_module(".planted_subject", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
