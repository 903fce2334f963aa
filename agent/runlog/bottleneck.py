"""What a run waited for: its language model, its subject, or its own program.

Investigations side by side share one subject and one interpreter. The run's log says at its end how
long the language model was asked (summed over investigations), how long the subject ran, and how
long investigations stood in line for it, so that whoever wants a faster run knows what to change.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

FULL = 0.9
"""A share of the time from which something counts as busy all along."""
What = Literal["model", "subject", "line"]


class WaitTimes:
    """Adds up seconds of waiting. Safe to use from many threads."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {"model": 0.0, "subject": 0.0, "line": 0.0}
        self._lock = threading.Lock()
        self._started = time.monotonic()

    @contextmanager
    def measure(self, what: What) -> Iterator[None]:
        """Count the time in here."""
        started = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._seconds[what] += time.monotonic() - started

    @contextmanager
    def turn(self, subject: threading.Lock) -> Iterator[None]:
        """A turn of the subject, and the standing in line for it."""
        with self.measure("line"):
            subject.acquire()
        try:
            with self.measure("subject"):
                yield
        finally:
            subject.release()

    def summary(self, side_by_side: int) -> dict[str, Any]:
        """Seconds, mean requests at the language model at once, and what kept the run from being faster."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        with self._lock:
            model, subject, line = (self._seconds[what] for what in ("model", "subject", "line"))
        bottleneck = "program"
        if subject >= FULL * seconds:
            bottleneck = "subject"
        elif model >= FULL * seconds * side_by_side:
            bottleneck = "model"
        return {
            "seconds": round(seconds, 3),
            "side_by_side": side_by_side,
            "model_seconds": round(model, 3),
            "subject_seconds": round(subject, 3),
            "line_seconds": round(line, 3),
            "asked_at_once": round(model / seconds, 3),
            "bottleneck": bottleneck,
        }
