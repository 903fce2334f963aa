"""Calls of a batch API that are repeated while the server is busy, and waits that end when the run is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ...runlog.stopping import Stopped
from ..errors import Busy, Unreachable
from ..retry import LONGEST_OWN_PAUSE_S, POLL_S

if TYPE_CHECKING:
    from ..retry import Patience

FEWEST_TRIES = 20
"""A short patience has shorter pauses, so that about as many tries fit in it."""
SAID_AFTER_S = 60.0
Answer = TypeVar("Answer")


class PatientCaller:
    """Makes calls, with waits between them.

    Args:
        patience: how long a server may be busy, and the signal to stop.
        say: shows a line, when a server has been busy for SAID_AFTER_S.
    """

    def __init__(self, patience: Patience, say: Callable[[str], None]) -> None:
        self.patience, self._say = patience, say
        self.first_pause_s = min(patience.first_pause_s, patience.limit_s / FEWEST_TRIES)

    def call(self, send: Callable[[], Answer], times: float = 1.0) -> Answer:
        """The answer of a call that may be repeated.

        Args:
            times: of the patience, how long it is.

        Raises:
            Unreachable: the server was busy for longer than the patience.
            ModelError: it refuses the call.
        """
        started, pause, said = time.monotonic(), self.first_pause_s, False
        limit_s = times * self.patience.limit_s
        while True:
            try:
                return send()
            except Busy as error:
                wait = pause if error.pause_s is None else error.pause_s
                wait = min(wait, self.patience.longest_pause_s)
                busy_s = time.monotonic() - started
                if busy_s + wait > limit_s:
                    raise Unreachable(
                        f"{error} (tried for {limit_s:,.0f} s, see --patience). Batches that were "
                        "submitted go on; the same command, or `hubel resume`, collects them"
                    ) from error
                if busy_s > SAID_AFTER_S and not said:
                    self._say(f"{error}; trying again for up to {limit_s / 60:,.0f} minutes")
                    said = True
                self.wait(wait)
                pause = min(2 * pause, LONGEST_OWN_PAUSE_S)

    def wait(self, seconds: float) -> None:
        """Wait; raises Stopped when the run is stopped."""
        until = time.monotonic() + seconds
        while (rest := until - time.monotonic()) > 0:
            if self.patience.stopped.wait(min(rest, POLL_S)):
                raise Stopped
