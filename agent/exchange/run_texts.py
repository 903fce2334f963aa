"""The text of a run that may leave it: contexts of explore with the targets' activations.

What an explanation is tested on stays where it is: a file that showed it would be read by the next
explainer.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...tools.errors import HubelError
from ...tools.index import Collected
from ...tools.subject.address import Unit
from ..runlog.data_files import check_folder
from ..runlog.layout import COLLECTED
from ..runlog.lexicon import stored_lexicon
from .records import SeenText

if TYPE_CHECKING:
    from jaxtyping import Float, Int

TOP, RANDOM = 24, 24
"""Contexts of a unit in files that show text. OpenAI's format needs 20 strongest and 15 random ones,
when five examples are dealt to each of its splits."""


class RunTexts:
    """Contexts of explore, as a run collected them."""

    def __init__(self, folder: Path) -> None:
        check_folder(folder, COLLECTED, "explore")  # the other splits stay closed
        self.collected = Collected.open(folder / COLLECTED, "explore")
        self.strings: list[str] = stored_lexicon(folder).strings
        self.seed = int(self.collected.metadata.get("seed", 0))

    @classmethod
    def open(cls, folder: Path) -> RunTexts | None:
        """The texts of a run; None if it has none that can be read, as while it works."""
        try:
            return cls(folder)
        except HubelError:
            return None

    def signal(self, address: str) -> Float[np.ndarray, "context seq"]:
        """What is explained of a unit, 0 where a token does not count."""
        unit = Unit.parse(address)
        return np.where(self.collected.mask, self.collected.signal(unit), 0.0)

    def of_unit(self, address: str) -> Iterator[SeenText]:
        """The strongest contexts of a unit, one of each document, then random ones."""
        if Unit.parse(address) not in self.collected:
            return
        signal = self.signal(address)
        for row in self._strongest(np.abs(signal).max(axis=1)):
            yield self._text(row, signal[row], "top")
        for row in self._random:
            yield self._text(row, signal[row], "random")

    def _strongest(self, peaks: Float[np.ndarray, " context"]) -> list[int]:
        by_document: dict[int, int] = {}
        for row in np.argsort(-peaks, kind="stable"):
            if len(by_document) == TOP or not peaks[row] > 0:
                break
            by_document.setdefault(int(self.collected.document[row]), int(row))
        return list(by_document.values())

    @cached_property
    def _random(self) -> list[int]:
        """The same contexts for all units, drawn by the run's seed."""
        n = len(self.collected.length)
        drawn = np.random.default_rng(self.seed).choice(n, min(n, RANDOM), replace=False)
        return [int(row) for row in drawn if self.collected.length[row] > 1]

    def _text(self, row: int, signal: Float[np.ndarray, " seq"], group: str) -> SeenText:
        length = int(self.collected.length[row])
        ids: Int[np.ndarray, " seq"] = self.collected.tokens[row, :length]
        tokens = tuple(self.strings[i] for i in ids)
        values = tuple(map(float, signal[:length]))
        return SeenText(tokens, values, "shown", group, ids=tuple(map(int, ids)))
