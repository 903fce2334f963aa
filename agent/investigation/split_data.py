"""A run's collected activations on explore and select. Holdout cannot be reached from here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ..explainers.predictions import Thresholds
from ..explainers.protocol import TargetData

if TYPE_CHECKING:
    from ...tools.dissection import Lexicon
    from ...tools.index import Collected
    from ...tools.subject.address import Unit

OpenSplit = Literal["explore", "select"]
"""The splits that an investigation may read."""


class SplitData:
    """Explore and select of one run, with the vocabulary to read them. Safe to share by threads.

    Args:
        cache: what the targets share of the formula search, if some of it was made before.
    """

    def __init__(
        self,
        explore: Collected,
        select: Collected,
        lexicon: Lexicon,
        cache: dict[str, Any] | None = None,
    ) -> None:
        self.lexicon = lexicon
        self._splits: dict[OpenSplit, Collected] = {"explore": explore, "select": select}
        self._corpus_cache: dict[str, Any] = {} if cache is None else cache
        self._thresholds: dict[tuple[Unit, str], Thresholds] = {}

    def collected(self, split: OpenSplit) -> Collected:
        """The collected activations of all targets on a split."""
        return self._splits[split]

    def of(self, unit: Unit, split: OpenSplit) -> TargetData:
        """One target on a split."""
        collected = self._splits[split]
        return TargetData(
            tokens=collected.tokens,
            length=collected.length,
            document=collected.group,  # an explainer sees near-duplicates as one document
            mask=collected.mask,
            signal=collected.signal(unit),
            lexicon=self.lexicon,
            cache=self._corpus_cache,
        )

    def thresholds(self, unit: Unit, side: str) -> Thresholds:
        """What counts as firing and as silent on a side, from explore."""
        if (unit, side) not in self._thresholds:
            explore = self._splits["explore"]
            activations = explore.activations(unit)[explore.mask]
            self._thresholds[unit, side] = Thresholds.of(activations, side)
        return self._thresholds[unit, side]
