"""The only access to held-out text.

Code that verifies explanations may import this module; instruments and explainers may not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from ..corpus import SPLITS, Split
from ..subject.address import Unit
from .collected import Collected
from .index import Index, reader_of
from .split_reader import SplitReader

if TYPE_CHECKING:
    from ..subject import Subject

HoldoutIndex = SplitReader
"""Has `contexts()`, `statistics(unit)` and `exemplars(unit, ...)` like `Index`, over holdout."""


def open_holdout(index: Index) -> HoldoutIndex:
    """The holdout split of an index."""
    return reader_of(index, "holdout")


def open_collected_holdout(path: Path | str) -> Collected:
    """The targets' activations on holdout that a run collected in the folder."""
    return Collected.of_parts(Path(path), "holdout")


def stored_activations(
    subject: Subject,
    index: Index,
    units: Sequence[Unit],
    tokens: Int[np.ndarray, "context seq"],
    length: Int[np.ndarray, " context"],
    say: Callable[[str], None] = lambda line: None,
) -> Float[np.ndarray, "unit context seq"] | None:
    """Raw activations of units at contexts of an index's text, of any split, out of its store.

    For text that counts as unseen whatever its split there: that of another corpus.

    Args:
        say: called with a line where the store cannot be used.

    Returns:
        None if the index does not have one of the contexts, or its store one of the units.

    Raises:
        CorruptError: the store is damaged.
    """
    from .activation_store.source import stored_source, stored_units

    values = np.zeros((len(units), *tokens.shape), np.float32)
    for split, places in _places(index, tokens, length).items():
        if split is None or not stored_source(subject, index, split, say):
            return None
        rows, numbers = np.array(places).T
        stored = stored_units(subject, index, split, units, numbers)
        if stored is None:
            return None
        values[:, rows] = stored
    return values


def _places(
    index: Index, tokens: Int[np.ndarray, "context seq"], length: Int[np.ndarray, " context"]
) -> dict[Split | None, list[tuple[int, int]]]:
    """Rows of contexts with the number of the same text in the index, by split; None: it has none."""
    numbers: dict[bytes, tuple[Split, int]] = {}
    for split in SPLITS:
        contexts = reader_of(index, split).contexts()
        for number, (ids, n) in enumerate(zip(contexts.tokens, contexts.length, strict=True)):
            numbers[ids[:n].astype(np.int32).tobytes()] = split, number
    places: dict[Split | None, list[tuple[int, int]]] = {}
    for row, (ids, n) in enumerate(zip(tokens, length, strict=True)):
        split, number = numbers.get(ids[:n].astype(np.int32).tobytes(), (None, -1))
        places.setdefault(split, []).append((row, number))
    return places
