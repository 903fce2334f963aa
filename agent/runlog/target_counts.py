"""How many of a run's targets have ended, and how: the one place where this is counted.

    done      it has a conclusion, whatever its verdict, even if it failed before
    failed    it has a failure and no conclusion; `hubel resume` tries again
    pending   neither: it was not begun, not finished, or stopped by a budget

A verdict comes after the conclusion, when no target is pending any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .log import RunLog


class TargetCounts(NamedTuple):
    """Numbers of targets; every target is counted once."""

    done: int
    failed: int
    pending: int

    @property
    def total(self) -> int:
        """All targets."""
        return self.done + self.failed + self.pending

    @property
    def ended(self) -> int:
        """Those that are not pending."""
        return self.done + self.failed


def count_targets(log: RunLog, targets: Iterable[str]) -> TargetCounts:
    """The counts of these targets."""
    counts = {"done": 0, "failed": 0, "pending": 0}
    for target in targets:
        if log.has("conclusion", target):
            counts["done"] += 1
        else:
            counts["failed" if log.has("failure", target) else "pending"] += 1
    return TargetCounts(**counts)


class EndedTargets:
    """Counts targets as they end, without looking at the others again.

    Args:
        total: of targets that are to end.
    """

    def __init__(self, log: RunLog, total: int) -> None:
        self._log, self.total = log, total
        self.done = self.failed = 0

    def add(self, target: str) -> None:
        """Count a target whose investigation is over, unless a budget or the user stopped it."""
        counts = count_targets(self._log, [target])
        self.done, self.failed = self.done + counts.done, self.failed + counts.failed
