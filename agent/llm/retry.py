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

An attempt whose answer broke off or timed out may still have been paid for, and neither
protocol has an idempotency key (docs/design/paid-once.md). So where a provider bills, a request that
timed out is not sent again in the same call, and one whose answers break off is sent at most
BROKEN_TRIES times. The request's meter counts every attempt; when its budget is used up, waits end
at once.

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
from .connection import MAX_FORMS, send_counted
from .conversation import Wait
from .errors import Busy, ModelError, OtherForm, PromptCut, Unreachable
from .prompt_check import FILLER, PromptCheck, with_filler
from .rate_gate import RateGate, Ticket

if TYPE_CHECKING:
    from .connection import Connection
    from .conversation import Meter, Reply, Request

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 120.0
"""The longest wait if a server asks for more; `limit_s` still applies."""
LONGEST_OWN_PAUSE_S = 60.0
POLL_S = 0.2
"""How soon a wait notices that the run is stopped."""
BROKEN_TRIES = 3
"""Attempts in one call that may break off, where a provider bills for them."""
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
    """A connection whose calls are retried: a `conversation.Client`.

    Args:
        billed: whether replies are billed, including those that did not arrive.
        check: finds out whether the server reads whole prompts; None trusts it.
    """

    def __init__(
        self,
        connection: Connection,
        patience: Patience,
        *,
        billed: bool = False,
        check: PromptCheck | None = None,
    ) -> None:
        self.name = connection.name
        self._connection, self._patience, self._billed = connection, patience, billed
        self._gate, self._check = patience.gate(connection.place), check

    def reply(self, request: Request) -> Reply:
        """A reply, with the waits for it.

        Raises:
            Rejected: the server refuses this request.
            Unreachable: it did not answer in time.
            PromptCut: the server read only a part of the prompt.
            BudgetReached: no further attempt may be made.
            Stopped: the run was stopped during a wait.
        """
        call = _Call(self._gate, self._patience, request.meter, billed=self._billed)
        while True:
            call.enter()
            try:
                received = send_counted(self._connection, request)
            except Busy as error:
                call.failed(error)
            except OtherForm as error:
                call.refused_form(error)
            except BaseException:
                self._gate.release(call.ticket)
                raise
            else:
                self._gate.answered(call.ticket, received.allowances, received.reply.usage)
                self._check_prompt(request, received.reply)
                return replace(received.reply, waits=tuple(call.waits))

    def _check_prompt(self, request: Request, reply: Reply) -> None:
        """Raise PromptCut if the server read only a part; a suspect prompt is sent once more."""
        usage = reply.usage
        least = self._check.least_tokens(request, usage) if self._check else None
        if self._check is None or usage is None or least is None:
            return
        try:
            again = send_counted(self._connection, with_filler(request)).reply.usage
        except ModelError:
            return  # nothing is known
        if again is not None and self._check.is_cut(usage.input, least, again):
            raise PromptCut(
                f"the server read {usage.input:,} tokens of a prompt of at least {least:,.0f}, and "
                f"{again.input:,} when {FILLER} words were added: it silently cuts prompts to its "
                "context window. Start it with a longer one (Ollama: OLLAMA_CONTEXT_LENGTH=32768, or "
                "`PARAMETER num_ctx 32768` in the Modelfile)"
            )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class _Call:
    """The attempts and waits of one call."""

    def __init__(self, gate: RateGate, patience: Patience, meter: Meter, *, billed: bool) -> None:
        self.ticket = Ticket()
        self.waits: list[Wait] = []
        self._gate, self._patience, self._meter, self._billed = gate, patience, meter, billed
        self._failures = self._broken = self._forms = 0
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
        self._stop_before_paying_again(error)
        if self._out_of_time(pause):
            raise self._gives_up(str(error)) from error
        self._sleep(pause)
        again = " (sent again; it may still be being answered)" if _may_be_paid(error) else ""
        self.waits.append(_wait(f"{error}{again}", pause, failed=True))

    def refused_form(self, error: OtherForm) -> None:
        """Go on at once in the form that the connection has learned."""
        self._gate.release(self.ticket)
        self._forms += 1
        if self._forms > MAX_FORMS:
            raise ModelError(str(error)) from error
        self.waits.append(_wait(str(error), 0.0, failed=True))

    def _stop_before_paying_again(self, error: Busy) -> None:
        """Raise Unreachable if the next attempt would probably be paid for without a reply too."""
        if not self._billed or not _may_be_paid(error):
            return
        self._broken += 1
        if error.fate == "timed out":
            raise Unreachable(
                f"{error}. It may still be answered and billed, so it is not sent again now: "
                "`hubel resume` asks again"
            ) from error
        if self._broken >= BROKEN_TRIES:
            raise Unreachable(
                f"{error} ({self._broken} answers broke off, which may all be billed). "
                "`hubel resume` asks again"
            ) from error

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
            self._meter.check()
            if self._patience.stopped.wait(min(rest, POLL_S)):
                raise Stopped


def _may_be_paid(error: Busy) -> bool:
    return error.fate in ("broken", "timed out")


def _wait(why: str, seconds: float, *, failed: bool = False) -> Wait:
    return Wait(" ".join(why.split())[:300], round(seconds, 3), failed)
