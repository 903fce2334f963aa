"""Open the server: a free port on loopback, a token, the address to open."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

from ...tools.errors import UnavailableError
from .guard import Guard
from .run_catalog import RunCatalog
from .server import make_app

if TYPE_CHECKING:
    import uvicorn

PORT = 8411


def listen(host: str, port: int | None) -> socket.socket:
    """A listening socket: on the given port; without one, on the usual port, or on any if that is taken.

    Raises:
        UnavailableError: the port is taken, or the address does not belong to this machine.
    """
    reason = ""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in [port] if port is not None else [PORT, 0]:
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, number))
            listening.listen(256)  # a browser that connects now waits until the server is up
            return listening
        except OSError as error:
            listening.close()
            reason = error.strerror or str(error)
    raise UnavailableError(
        f"cannot listen on {host} port {port or PORT}: {reason}; give another --port or --host"
    )


def serve(
    catalog: RunCatalog, *, host: str, port: int | None, live: bool, opened: Callable[[str], None]
) -> None:
    """Serve until interrupted.

    Args:
        live: whether the subject may be loaded, to try texts.
        port: None takes the usual one, or any if that is taken; 0 any.
        opened: called with the address and its token as soon as the server listens.
    """
    # The loop waits this long for a thread that computes; 5 ms, the default, add up to a slow page.
    sys.setswitchinterval(0.001)
    with closing(listen(host, port)) as listening:
        number = listening.getsockname()[1]
        guard = Guard(make_app(catalog, live=live), port=number, host=host)
        name = f"[{host}]" if ":" in host else host
        server = page_server(guard)
        opened(f"http://{name}:{number}/?token={guard.token}")
        server.run(sockets=[listening])
    sys.stderr.flush()


def page_server(guard: Guard) -> uvicorn.Server:
    """The server of a page, with limits on what a client can hold on to (`connections`)."""
    import uvicorn

    from . import connections

    class PageServer(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            asyncio.get_running_loop().set_exception_handler(connections.AcceptErrors())
            await super().startup(sockets)
            # uvicorn's `backlog` is also how many it accepts at once, so the queue is set here
            for listening in sockets or ():
                listening.listen(connections.BACKLOG)

    table = connections.ConnectionTable(connections.raise_open_files())
    protocol: Any = partial(connections.LimitedConnection, table)  # uvicorn only calls it
    config = uvicorn.Config(
        guard, log_level="critical", access_log=False, server_header=False, date_header=False, ws="none", lifespan="on",
        loop="asyncio", http=protocol, timeout_keep_alive=int(connections.KEEP_ALIVE_S), timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=connections.MAX_HEAD, backlog=connections.ACCEPT_AT_ONCE,
    )  # fmt: skip
    return PageServer(config)
