"""What a pass hands to its progress callback."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far the pass is; `forward_share` is the model's own share of the time, once known."""

    done: int
    total: int
    forward_share: float | None
    step: str = "index"
    unit: str = "tokens"

    @property
    def note(self) -> str:
        """For a progress line."""
        if self.forward_share is None:
            return ""
        return f"forward pass {min(self.forward_share, 1):.0%} of the time"
