"""How long a pass takes, and how much of that is the model's own time.

Every tenth batch is run a second time without hooks. The time of those bare passes, scaled from
their tokens to all, is `forward_seconds`; they are not part of `total_seconds`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

EVERY = 10


@dataclass
class PassClock:
    """Running times in seconds; tokens include padding, which costs as much."""

    total_seconds: float = 0.0
    tokens: int = 0
    bare_seconds: float = 0.0
    bare_tokens: int = 0

    @contextmanager
    def working(self, tokens: int = 0) -> Iterator[None]:
        """Add the time of the block to the index's time."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.total_seconds += time.perf_counter() - start
        self.tokens += tokens

    @contextmanager
    def bare(self, tokens: int) -> Iterator[None]:
        """The block is a bare pass over so many tokens."""
        start = time.perf_counter()
        yield
        self.bare_seconds += time.perf_counter() - start
        self.bare_tokens += tokens

    @property
    def forward_seconds(self) -> float:
        """The time that the model alone would have taken for all tokens."""
        return self.bare_seconds / self.bare_tokens * self.tokens if self.bare_tokens else 0.0

    @property
    def forward_share(self) -> float | None:
        """The model's share of the time so far; None before the first measurement."""
        if not (self.bare_tokens and self.total_seconds):
            return None
        return self.forward_seconds / self.total_seconds

    def to_json(self) -> dict[str, float]:
        """For a checkpoint."""
        return asdict(self)
