"""Rate limits of a loopback server, and the headers that report them: token buckets, as providers use."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from . import wires
from .wires import Provider


@dataclass
class _TokenBucket:
    """A limit per minute, refilled steadily."""

    unit: str
    limit: int
    left: float
    filled: float

    def wait_for(self, amount: float, now: float) -> float:
        """Seconds until `amount` is available; 0 if it is now."""
        self.left = min(self.limit, self.left + (now - self.filled) * self.limit / 60)
        self.filled = now
        return max(0.0, min(amount, self.limit) - self.left) * 60 / self.limit


class Limiter:
    """Admits requests. Thread-safe.

    Args:
        requests: limit per minute; 0 is no limit.
        tokens: prompt tokens per minute; 0 is no limit.
    """

    def __init__(self, requests: int, tokens: int) -> None:
        now = time.monotonic()
        limits = (("requests", requests), ("tokens", tokens))
        self._buckets = [_TokenBucket(unit, limit, limit, now) for unit, limit in limits if limit]
        self._lock = threading.Lock()

    def admit(self, provider: Provider, tokens: int) -> tuple[bool, dict[str, str]]:
        """Whether a request exceeds a limit, and the headers of its answer."""
        with self._lock:
            now = time.monotonic()
            amounts = {"requests": 1, "tokens": tokens}
            waits = [bucket.wait_for(amounts[bucket.unit], now) for bucket in self._buckets]
            wait = max(waits, default=0.0)
            headers: dict[str, str] = {}
            for bucket in self._buckets:
                bucket.left -= 0 if wait else min(amounts[bucket.unit], bucket.limit)
                full_in = (bucket.limit - bucket.left) * 60 / bucket.limit
                headers |= wires.limit_headers(
                    provider, bucket.unit, bucket.limit, int(bucket.left), full_in
                )
            return wait > 0, headers | ({"retry-after": f"{wait:.2f}"} if wait else {})
