"""How long a pass takes, and how much of that is the model's own time.

Some batches of explore are run a second time without hooks (`is_timed`). The share of those bare
passes in the time that the same batches took with everything, times the time of all batches, is
`forward_seconds`. The bare passes are not part of `total_seconds`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..corpus import Split

EVERY = 40
"""Batches of explore of which one is run twice, so that a long pass takes 2 % more for its clock."""


def is_timed(split: Split, turn: int, n_turns: int) -> bool:
    """Whether a batch is run a second time: the middle one of forty, or of all if they are fewer."""
    return split == "explore" and turn % EVERY == min(EVERY, n_turns - 1) // 2


@dataclass
class PassClock:
    """Running times in seconds.

    Attributes:
        reading_seconds: of all batches.
        timed_seconds: of the batches that were also run without hooks.
        bare_seconds: of the same batches without hooks.
    """

    total_seconds: float = 0.0
    reading_seconds: float = 0.0
    timed_seconds: float = 0.0
    bare_seconds: float = 0.0

    @contextmanager
    def working(self) -> Iterator[None]:
        """Add the time of the block to the index's time."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.total_seconds += time.perf_counter() - start

    def add_batch(self, seconds: float, bare_seconds: float | None) -> None:
        """Count a batch, and how long it took without hooks if it was run so too."""
        self.total_seconds += seconds
        self.reading_seconds += seconds
        if bare_seconds is not None:
            self.timed_seconds += seconds
            self.bare_seconds += bare_seconds

    @property
    def forward_seconds(self) -> float:
        """The time that the model alone would have taken for all batches.

        The bare pass is a part of what the full one does. Where it took longer, the machine was
        busy with something else, and all of the time counts as the model's: never more.
        """
        if not self.timed_seconds:
            return 0.0
        return self.reading_seconds * min(self.bare_seconds / self.timed_seconds, 1.0)

    @property
    def forward_share(self) -> float | None:
        """The model's share of the time so far; None before the first measurement."""
        if not (self.timed_seconds and self.total_seconds):
            return None
        return self.forward_seconds / self.total_seconds

    def to_json(self) -> dict[str, float]:
        """For a checkpoint."""
        return asdict(self)
