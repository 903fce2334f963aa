"""Planted units: suites of units whose meaning is known, and subjects in which they are planted.

    suite             what each unit fires on, parsed from TOML and checked
    match_text        where its patterns match a text, token by token
    corpus_texts      token ids traced back to their document
    unit_values       activations of planted units, nulls and controls; shuffle_table helps
    unit_writes       what they add to the residual stream
    planted_columns   both, in one forward pass
    planted_subject   the subject that has them

Planted circuits (paths through several units) are in `bench`. Names are imported on first use, so
that a suite can be read without torch.
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
