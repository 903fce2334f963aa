"""The only door to held-out text. What verifies an explanation may import this; no instrument and no explainer may."""

from __future__ import annotations

from pathlib import Path

from .collected import Collected
from .index import Index, reader_of
from .split_reader import SplitReader

HoldoutIndex = SplitReader
"""`contexts()`, `statistics(unit)`, `exemplars(unit, ...)` as of the index itself, over holdout."""


def open_holdout(index: Index) -> HoldoutIndex:
    """The holdout split of an index."""
    return reader_of(index, "holdout")


def open_collected_holdout(path: Path | str) -> Collected:
    """The targets' activations on holdout that a run has collected in the folder."""
    return Collected(Path(path) / "holdout.safetensors")
