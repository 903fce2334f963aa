"""Rate limits of a loopback server and what its answers say of them: buckets that fill steadily, as providers' do."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from . import wires
from .wires import Provider


@dataclass
class _TokenBucket:
    unit: str
    limit: int
    left: float
    filled: float

    def wait_for(self, amount: float, now: float) -> float:
        """Seconds until so much can be had; 0 when it can be now."""
        self.left = min(self.limit, self.left + (now - self.filled) * self.limit / 60)
        self.filled = now
        return max(0.0, min(amount, self.limit) - self.left) * 60 / self.limit


class Limiter:
    """Admits requests. Safe to use from many threads.

    Args:
        requests: a minute; 0 is no limit.
        tokens: of prompts, a minute; 0 is no limit.
    """

    def __init__(self, requests: int, tokens: int) -> None:
        now = time.monotonic()
        limits = (("requests", requests), ("tokens", tokens))
        self._buckets = [_TokenBucket(unit, limit, limit, now) for unit, limit in limits if limit]
        self._lock = threading.Lock()

    def admit(self, provider: Provider, tokens: int) -> tuple[bool, dict[str, str]]:
        """Whether a request is too many, and the headers of its answer."""
        with self._lock:
            now = time.monotonic()
            wanted = [1 if bucket.unit == "requests" else tokens for bucket in self._buckets]
            waits = [
                bucket.wait_for(amount, now)
                for bucket, amount in zip(self._buckets, wanted, strict=True)
            ]
            wait = max(waits, default=0.0)
            for bucket, amount in zip(self._buckets, wanted, strict=True):
                bucket.left -= 0 if wait else min(amount, bucket.limit)
            headers: dict[str, str] = {}
            for bucket in self._buckets:
                full_in = (bucket.limit - bucket.left) * 60 / bucket.limit
                headers |= wires.limit_headers(
                    provider, bucket.unit, bucket.limit, int(bucket.left), full_in
                )
            return wait > 0, headers | ({"retry-after": f"{wait:.2f}"} if wait else {})
