"""The only access to held-out text.

Code that verifies explanations may import this module; instruments and explainers may not.
"""

from __future__ import annotations

from pathlib import Path

from .collected import Collected
from .index import Index, reader_of
from .split_reader import SplitReader

HoldoutIndex = SplitReader
"""Has `contexts()`, `statistics(unit)` and `exemplars(unit, ...)` like `Index`, over holdout."""


def open_holdout(index: Index) -> HoldoutIndex:
    """The holdout split of an index."""
    return reader_of(index, "holdout")


def open_collected_holdout(path: Path | str) -> Collected:
    """The targets' activations on holdout that a run collected in the folder."""
    return Collected(Path(path) / "holdout.safetensors")
