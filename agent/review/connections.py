"""Limits on connections, so that no client can keep others from the page.

A connection waits for its client while a request is incomplete, between two requests, and while an
answer is not read. Each wait has an end, and bytes that arrive do not put it off. When there are
too many connections, the one that has waited longest is closed: first those on which no request was
accepted yet. So a new visitor always gets in.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import sys
import time
from enum import Enum
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .guard import HEADERS, MAX_BODY

REQUEST_S = 10.0
"""Seconds in which a whole request must arrive, and in which part of an answer must be read."""
KEEP_ALIVE_S = 30.0
"""Seconds to the next request. A longer wait saves nothing: a new connection takes 1 ms."""
MAX_CONNECTIONS = 3000
"""A browser opens six. An open connection takes about 30 kB."""
MAX_HEAD = 64 << 10
"""Bytes of a request's first line and headers."""
MAX_REQUEST = MAX_BODY + MAX_HEAD + (64 << 10)
"""Bytes of a whole request, with room for the marks between chunks of a body."""
ACCEPT_AT_ONCE = 200
"""Connections that are accepted before those that are open are served: 50 ms of work. With fewer, a
visitor would wait longer behind a crowd that connects at once."""
BACKLOG = 4096
"""Connections that the system keeps until they are accepted; beyond, a client tries again after 1 s."""
OPEN_FILES = 8192
"""What the limit of open files is raised to, where the system lets us."""


def raise_open_files() -> int:
    """Raise this process's soft limit of open files; returns how many connections it leaves room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    raised = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < raised:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
        except (OSError, ValueError):  # some systems have a lower limit that they do not report
            pass
    # half for the files of runs, and for connections that were accepted but not counted yet
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 2)


class _Wait(Enum):
    """What a connection waits for; NOTHING while the server works on its request."""

    REQUEST = "the rest of a request, or a first one"
    NEXT = "another request"
    READER = "the client to read its answer"
    NOTHING = "nothing"


_SECONDS = {_Wait.REQUEST: REQUEST_S, _Wait.NEXT: KEEP_ALIVE_S, _Wait.READER: REQUEST_S}


class ConnectionTable:
    """The open connections of one server, and those of them that wait, the longest wait first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.open: set[LimitedConnection] = set()
        self.strangers: dict[LimitedConnection, None] = {}
        """Waiting, and no request was accepted on them."""
        self.visitors: dict[LimitedConnection, None] = {}

    def make_room(self) -> bool:
        """Close the connection that has waited longest, if there are too many; False if none waits."""
        while len(self.open) > self.limit:
            waiting = self.strangers or self.visitors
            if not waiting:
                return False
            next(iter(waiting)).drop()
        return True

    def remove(self, connection: LimitedConnection) -> None:
        """A connection has ended."""
        self.open.discard(connection)
        self.end_wait(connection)

    def end_wait(self, connection: LimitedConnection) -> None:
        """A connection does not wait for its client any more."""
        self.strangers.pop(connection, None)
        self.visitors.pop(connection, None)


class LimitedConnection(H11Protocol):
    """uvicorn's protocol with an end to each wait, a limit of bytes, and the policy on every answer."""

    def __init__(self, table: ConnectionTable, **named: Any) -> None:
        super().__init__(**named)
        self._table = table
        self._wait = _Wait.NOTHING
        self._timer: asyncio.TimerHandle | None = None
        self._received = 0
        self._accepted = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._table.open.add(self)
        if not self._table.make_room():  # all are being answered: this one comes later
            self._answer_plainly(503, "busy; try again in a moment")
        self._note_wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._table.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > MAX_REQUEST:
            self.drop()
            return
        super().data_received(data)
        self._note_wait()

    def on_response_complete(self) -> None:
        # `guard` asks to close the connection of a request that it refuses
        self._accepted = self._accepted or self.conn.our_state is not h11.MUST_CLOSE
        self._received = 0
        super().on_response_complete()
        self._note_wait()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._note_wait()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._note_wait()

    def drop(self) -> None:
        """Close the connection without waiting for its client."""
        self._stop_timer()
        self._table.remove(self)
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP gets the policy too; uvicorn calls this while it handles h11's error."""
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        self._answer_plainly(status, "this is not an HTTP request as this server reads it")

    def _answer_plainly(self, status: int, message: str) -> None:
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.drop()  # part of another answer is sent already
            return
        body = f"hubel review: {message}\n".encode()
        headers = {
            **HEADERS,
            "content-type": "text/plain; charset=utf-8",
            "content-length": str(len(body)),
            "cache-control": "no-store",
            "connection": "close",
            "retry-after": "1",
        }
        head = [(name.encode(), value.encode()) for name, value in headers.items()]
        response = h11.Response(status_code=status, headers=head)
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _note_wait(self) -> None:
        """Start the clock if the connection now waits for something else."""
        wait = self._waits_for()
        if wait is self._wait or self not in self._table.open:
            return
        self._wait = wait
        self._stop_timer()
        self._table.end_wait(self)
        if wait is not _Wait.NOTHING:
            group = self._table.visitors if self._accepted else self._table.strangers
            group[self] = None
            self._timer = self.loop.call_later(_SECONDS[wait], self.drop)

    def _waits_for(self) -> _Wait:
        if self.flow.write_paused or self.transport.is_closing():
            return _Wait.READER
        if self.conn.their_state is h11.SEND_BODY:
            return _Wait.REQUEST
        if self.cycle is not None and not self.cycle.response_complete:
            return _Wait.NOTHING
        return _Wait.NEXT if self._accepted and not self._received else _Wait.REQUEST

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class AcceptErrors:
    """The event loop's errors in one line, at most one of a kind in ten seconds.

    Out of file descriptors, the loop would print a traceback for every connection.
    """

    EVERY_S = 10.0

    def __init__(self) -> None:
        self._printed: dict[str, float] = {}

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Print an error that no request is to blame for."""
        error = context.get("exception")
        what = str(context.get("message") or "")
        if isinstance(error, ConnectionError):  # a client went away
            return
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            what = "too many open files; raise the limit (`ulimit -n`)"
        elif error is not None:
            what = f"{what}: {type(error).__name__}: {error}"
        now = time.monotonic()
        if now - self._printed.get(what[:200], -self.EVERY_S) >= self.EVERY_S:
            self._printed[what[:200]] = now
            sys.stderr.write(f"hubel review: {what[:1000]}\n")
