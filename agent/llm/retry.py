"""Retries: how long to wait for a language model, and for what.

1. The gate of the server and model (`rate_gate`) lets a call through; all callers of that model
   share it.
2. One attempt is made. A reply ends it; so does a rejection (a wrong key or model, no credit, too
   long).
3. What may pass (408, 409, 429, 529, 5xx, timeouts, resets, answers cut short: `Busy`) is waited
   out: as long as the server asks, but at most `longest_pause_s`; without a word from the server,
   for a pause that doubles each time, with jitter.
4. The call ends as `Unreachable` when it has failed for `limit_s`, or when no caller has had an
   answer for that long.
5. The waits and their reasons go with the reply. When the run is stopped, a wait ends at once and
   the call is not made.

An attempt that timed out may have been paid for all the same: neither protocol has an idempotency
key.

The SDKs' own retries are off, and tenacity is not used, because both wait for each call by itself.
Here eight investigations share one account: they must slow down together, give up together, stop
within POLL_S, and log each wait (docs/soak.md).
"""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from ..runlog.stopping import Stopped
from .conversation import Wait
from .errors import Busy, ModelError, Unreachable
from .rate_gate import RateGate, Ticket

if TYPE_CHECKING:
    from .connection import Connection
    from .conversation import Reply, Request

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 120.0
"""At most this is waited when a server asks for more; `limit_s` holds all the same."""
LONGEST_OWN_PAUSE_S = 60.0
POLL_S = 0.2
"""How soon a wait notices that the run is stopped."""
SHORTEST_LOGGED_S = 0.01
"""Shorter waits at the gate are not logged."""


class Patience:
    """What all clients of a process share: the gates, how long to wait, and the signal to stop."""

    def __init__(
        self,
        limit_s: float = 600.0,
        *,
        stopped: threading.Event | None = None,
        first_pause_s: float = FIRST_PAUSE_S,
        longest_pause_s: float = LONGEST_PAUSE_S,
    ) -> None:
        self.limit_s, self.first_pause_s, self.longest_pause_s = (
            limit_s,
            first_pause_s,
            longest_pause_s,
        )
        self.stopped = stopped or threading.Event()
        self._gates: dict[tuple[str, str], RateGate] = {}
        self._lock = threading.Lock()

    def gate(self, place: tuple[str, str]) -> RateGate:
        """The gate of one server and model."""
        with self._lock:
            return self._gates.setdefault(place, RateGate())


class RetryingClient:
    """A connection whose calls are retried: a `conversation.Client`."""

    def __init__(self, connection: Connection, patience: Patience) -> None:
        self.name = connection.name
        self._connection, self._patience = connection, patience
        self._gate = patience.gate(connection.place)

    def reply(self, request: Request) -> Reply:
        """A reply, with the waits for it.

        Raises:
            Rejected: the server refuses this request.
            Unreachable: it did not answer in time.
            Stopped: the run was stopped during a wait.
        """
        call = _Call(self._gate, self._patience)
        while True:
            call.enter()
            try:
                received = self._connection.attempt(request)
            except Busy as error:
                call.failed(error)
            except BaseException:
                self._gate.release(call.ticket)
                raise
            else:
                self._gate.answered(call.ticket, received.allowances, received.reply.usage)
                return replace(received.reply, waits=tuple(call.waits))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class _Call:
    """The attempts and waits of one call."""

    def __init__(self, gate: RateGate, patience: Patience) -> None:
        self.ticket = Ticket()
        self.waits: list[Wait] = []
        self._gate, self._patience = gate, patience
        self._failures = 0
        self._first_failure = 0.0

    def enter(self) -> None:
        """Wait until the gate lets this call through."""
        started = self._gate.clock()
        while (delay := self._gate.admit(self.ticket)) > 0:
            if self._failures and self._out_of_time(delay):
                raise self._gives_up("others are refused too")
            self._sleep(delay)
        waited = self._gate.clock() - started
        if waited >= SHORTEST_LOGGED_S:
            self.waits.append(_wait("the model's rate limit, shared by all who ask it", waited))

    def failed(self, error: Busy) -> None:
        """Wait after a failed attempt, or give up."""
        self._failures += 1
        if self._failures == 1:
            self._first_failure = self._gate.clock()
        pause = self._pause(error)
        self._gate.failed(self.ticket, error.allowances, pause if error.crowded else 0.0)
        if self._out_of_time(pause):
            raise self._gives_up(str(error)) from error
        self._sleep(pause)
        self.waits.append(_wait(str(error), pause, failed=True))

    def _pause(self, error: Busy) -> float:
        doubled = min(
            self._patience.first_pause_s * 2 ** min(self._failures - 1, 20), LONGEST_OWN_PAUSE_S
        )
        ours = doubled * random.uniform(0.5, 1.0)  # jitter: callers do not all return at once
        if error.pause_s is None:
            return ours
        return min(error.pause_s, self._patience.longest_pause_s) + 0.1 * ours

    def _out_of_time(self, pause: float) -> bool:
        failing = max(self._gate.clock() - self._first_failure, self._gate.failing_for())
        return failing + pause > self._patience.limit_s

    def _gives_up(self, why: str) -> ModelError:
        times = "once" if self._failures == 1 else f"{self._failures} times"
        return Unreachable(
            f"{why} (asked {times}; the limit is {self._patience.limit_s:,.0f} s of waiting, --patience). "
            "`hubel resume` goes on when the server is well"
        )

    def _sleep(self, seconds: float) -> None:
        until = self._gate.clock() + seconds
        while (rest := until - self._gate.clock()) > 0:
            if self._patience.stopped.wait(min(rest, POLL_S)):
                raise Stopped


def _wait(why: str, seconds: float, *, failed: bool = False) -> Wait:
    return Wait(" ".join(why.split())[:300], round(seconds, 3), failed)
