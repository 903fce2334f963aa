"""One gate for all callers of the same model on the same server, so that they slow down together.

1. A call is admitted when the gate is open and every bucket that the server's headers describe
   holds what a call takes: one request, and as many tokens as calls took on average. That amount is
   taken out at once.
2. An answer's headers refill the buckets: what remained when the server counted that call, minus
   the calls in flight that it may not have counted yet. A bucket fills steadily until its reset, as the
   providers' do.
3. "Too many requests" closes the gate for as long as the server asks, and halves how many calls may
   be in flight; every answer allows a little more again (additive increase, multiplicative decrease:
   Chiu & Jain 1989).

All of it is arithmetic on a clock that is passed in; `retry` does the waiting.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .rate_headers import KINDS, Allowance, Kind

if TYPE_CHECKING:
    from .conversation import TokenUsage

BELIEVED_S = 120.0
"""Seconds that a header is believed: it can be wrong, and if it is right, a refusal repeats it."""
FULL_S = 0.05
"""Seconds until the next try when too many calls are in flight: any answer may make room."""


@dataclass
class Ticket:
    """One call's way through the gate."""

    serial: int = 0
    sent: float = 0.0


@dataclass
class _LimitState:
    """A bucket: what is left of one limit, as of the call `serial`."""

    level: float
    at: float
    rate: float
    """Refill per second; 0 if the size is not known: then it counts as empty until it is no longer believed."""
    limit: float
    believed_until: float
    serial: int

    @classmethod
    def from_headers(cls, allowance: Allowance, ticket: Ticket) -> _LimitState:
        """The bucket that an answer's headers describe."""
        _, remaining, limit, reset_s = allowance
        rate, size, believed_s = 0.0, float("inf"), min(BELIEVED_S, reset_s)
        if limit is not None and limit > remaining and reset_s > 0:
            rate, size, believed_s = (limit - remaining) / reset_s, limit, BELIEVED_S
        return cls(
            level=remaining,
            at=ticket.sent,
            rate=rate,
            limit=size,
            believed_until=ticket.sent + believed_s,
            serial=ticket.serial,
        )

    def level_at(self, now: float) -> float:
        """What the bucket holds at a time; infinity once it is no longer believed."""
        if now >= self.believed_until:
            return float("inf")
        return min(self.limit, self.level + self.rate * (now - self.at))

    def wait(self, need: float, now: float) -> float:
        """Seconds until it holds `need`, or is no longer believed."""
        lacking = min(need, self.limit) - self.level_at(now)
        if lacking <= 0:
            return 0.0
        return min(
            self.believed_until - now, lacking / self.rate if self.rate > 0 else float("inf")
        )

    def take(self, amount: float, now: float) -> None:
        """Take out what a call needs."""
        self.level, self.at = self.level_at(now) - amount, now


class RateGate:
    """Says who may send now. Safe to use from many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[Kind, _LimitState] = {}
        self._mean: dict[Kind, float] = dict.fromkeys(KINDS, 1.0)
        self._answers = 0
        self._serial = 0
        self._in_flight = 0
        self._max_in_flight = float("inf")
        self._halved_at = 0
        self._open_at = 0.0
        self._failing_since: float | None = None

    def admit(self, ticket: Ticket) -> float:
        """0.0 if the call is let through, else the seconds after which to ask again."""
        with self._lock:
            now = self.clock()
            wait = max(
                self._open_at - now,
                *(b.wait(self._mean[k], now) for k, b in self._buckets.items()),
                0.0,
            )
            if wait <= 0 and self._in_flight >= self._max_in_flight:
                wait = FULL_S
            if wait > 0:
                return wait
            for kind, bucket in self._buckets.items():
                bucket.take(self._mean[kind], now)
            self._serial += 1
            self._in_flight += 1
            ticket.serial, ticket.sent = self._serial, now
            return 0.0

    def answered(
        self, ticket: Ticket, allowances: Iterable[Allowance], usage: TokenUsage | None
    ) -> None:
        """A call was answered."""
        with self._lock:
            self._left(allowances, ticket)
            self._failing_since = None
            self._max_in_flight += 1 / self._max_in_flight
            if usage is not None:
                both = usage.input + usage.output
                self._count(
                    {"input-tokens": usage.input, "output-tokens": usage.output, "tokens": both}
                )

    def failed(self, ticket: Ticket, allowances: Iterable[Allowance], pause_s: float = 0.0) -> None:
        """A call was not answered.

        Args:
            pause_s: seconds for which nobody may send, because the server got too many requests.
        """
        with self._lock:
            now = self.clock()
            self._left(allowances, ticket)
            if self._failing_since is None:
                self._failing_since = now
            if pause_s > 0:
                self._open_at = max(self._open_at, now + pause_s)
                # Calls that were in flight together count as one refusal.
                if ticket.serial > self._halved_at:
                    self._max_in_flight = max(
                        1.0, min(self._max_in_flight, self._in_flight + 1) / 2
                    )
                    self._halved_at = self._serial

    def release(self, ticket: Ticket) -> None:
        """A call ended, and the server said nothing about limits."""
        with self._lock:
            self._left((), ticket)

    def failing_for(self) -> float:
        """Seconds since the last answer, if calls have failed since; else 0."""
        with self._lock:
            return 0.0 if self._failing_since is None else self.clock() - self._failing_since

    def _left(self, allowances: Iterable[Allowance], ticket: Ticket) -> None:
        self._in_flight -= 1
        for allowance in allowances:
            kind = allowance.kind
            latest = self._buckets.get(kind)
            if latest is not None and latest.serial > ticket.serial:
                continue  # the answer to a later call came first
            bucket = _LimitState.from_headers(allowance, ticket)
            # The server may not have counted the calls in flight yet.
            bucket.take(self._mean[kind] * self._in_flight, self.clock())
            self._buckets[kind] = bucket

    def _count(self, took: Mapping[Kind, float]) -> None:
        self._answers += 1
        for kind, amount in took.items():
            mean = self._mean[kind]
            self._mean[kind] = (
                float(amount)
                if self._answers == 1
                else mean + (amount - mean) / min(self._answers, 20)
            )
