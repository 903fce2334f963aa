"""Whether the head of a Ray cluster is still there.

Ray ends a process by itself, with lines of its own, a minute after the head is lost, and waits for it
in every call until then. So it is looked for here, and Ray is called no more when it is gone.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
import time
from typing import Any

from .engine import NoWorkerError

LOOK_S = 5.0
"""Seconds between two looks while something is waited for, and for a connection."""
LOOKS, PAUSE_S = 3, 2.0
"""Looks in a row that must fail, and seconds between them."""


class LostHead(NoWorkerError):
    """The head is gone, and all that it knew."""


class Head:
    """The head of the cluster that this process is connected to.

    Args:
        own: whether this process started it; then it ends with this process and is not looked for.

    Attributes:
        lost: whether it was found gone. Ray must not be called any more.
    """

    def __init__(self, ray: Any, own: bool) -> None:
        self._address: str = ray.get_runtime_context().gcs_address
        self._own = own
        self.lost = False

    def require(self) -> None:
        """Raise LostHead if nothing answers at its address."""
        if self._own:
            return
        for look in range(LOOKS):
            if self.lost:
                break
            if self._answers():
                return
            time.sleep(PAUSE_S if look + 1 < LOOKS else 0)
        if not self.lost:
            self.lost = True
            atexit.register(_leave)
        raise LostHead(
            f"the head of the cluster at {self._address} is gone; what is done is kept: start it and its "
            "nodes again, and then the same command continues"
        )

    def _answers(self) -> bool:
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=LOOK_S).close()
        except OSError:
            return False
        return True


def _leave() -> None:
    """End this process before Ray is shut down, which waits for the head, or crashes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
