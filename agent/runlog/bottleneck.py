"""What a run waited for: its language model, its subject, or its own program.

Concurrent investigations share one subject and one interpreter. At its end the run logs how long
the language model took (summed over investigations), how long the subject ran, and how long
investigations queued for it, so that a user who wants a faster run knows what to change.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

FULL = 0.9
"""Share of the time from which something counts as busy throughout."""
What = Literal["model", "subject", "line"]
"""`line` is the queue for the subject."""


class WaitTimes:
    """Adds up seconds of waiting. Safe to use from many threads."""

    def __init__(self) -> None:
        self._seconds: dict[What, float] = {"model": 0.0, "subject": 0.0, "line": 0.0}
        self._lock = threading.Lock()
        self._started = time.monotonic()

    @contextmanager
    def measure(self, what: What, side_by_side: int = 1) -> Iterator[None]:
        """Count the time that the block takes.

        Args:
            side_by_side: how many subjects share the work; each is counted for its share.
        """
        started = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._seconds[what] += (time.monotonic() - started) / side_by_side

    @contextmanager
    def turn(self, subject: threading.Lock) -> Iterator[None]:
        """Hold the subject for the block; the queueing and the holding are counted apart."""
        with self.measure("line"):
            subject.acquire()
        try:
            with self.measure("subject"):
                yield
        finally:
            subject.release()

    def summary(self, side_by_side: int) -> dict[str, Any]:
        """The event `load`: seconds, mean number of requests in flight, and what limited the speed.

        Args:
            side_by_side: how many investigations ran at once.
        """
        seconds = max(time.monotonic() - self._started, 1e-9)
        with self._lock:
            times = dict(self._seconds)
        bottleneck = "program"
        if times["subject"] >= FULL * seconds:
            bottleneck = "subject"
        elif times["model"] >= FULL * seconds * side_by_side:
            bottleneck = "model"
        return {
            "seconds": round(seconds, 3),
            "side_by_side": side_by_side,
            **{f"{what}_seconds": round(amount, 3) for what, amount in times.items()},
            "asked_at_once": round(times["model"] / seconds, 3),
            "bottleneck": bottleneck,
        }
