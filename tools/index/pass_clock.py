"""How long a pass takes, and how much of that is the model's own.

Every tenth batch is read a second time with nothing listening. The time of those bare passes,
scaled from their tokens to all, is `forward_seconds`; they are themselves no part of
`total_seconds`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

EVERY = 10


@dataclass
class PassClock:
    """Running times in seconds; tokens are counted with their padding, as that is what a pass costs."""

    total_seconds: float = 0.0
    tokens: int = 0
    bare_seconds: float = 0.0
    bare_tokens: int = 0

    @contextmanager
    def working(self, tokens: int = 0) -> Iterator[None]:
        """What happens in the block is part of the index's time."""
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
        """What the model alone would have taken for all tokens."""
        return self.bare_seconds / self.bare_tokens * self.tokens if self.bare_tokens else 0.0

    @property
    def forward_share(self) -> float | None:
        """The model's share of the time so far; None before the first measurement."""
        return (
            self.forward_seconds / self.total_seconds
            if self.bare_tokens and self.total_seconds
            else None
        )

    def to_json(self) -> dict[str, float]:
        """For a checkpoint."""
        return asdict(self)
