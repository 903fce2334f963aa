"""A connection to one model: one attempt at a time, without retries (`retry` makes them).

Each provider is a module of this room with a `connect`; a further one is one more file, and its
name in `runlog.model_config.PROVIDERS`.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import parse_qsl

from ...tools.errors import UsageError
from ...tools.files.secrets import without_login
from ..runlog.model_config import ModelConfig, check_base_url
from .reply_limits import MAX_BYTES

if TYPE_CHECKING:
    from .conversation import Reply, Request
    from .http_errors import HttpReply
    from .rate_headers import Allowance

TIMEOUT_S = 600.0
"""Of one attempt, from its first byte to its last. Reasoning models think for minutes; with a shorter
time, replies would be paid for and thrown away."""

MAX_FORMS = 6
"""Forms of a request that are tried in one call, more than a connection can learn."""


class Limits(NamedTuple):
    """What one attempt may take."""

    seconds: float = TIMEOUT_S
    """From its first byte to its last."""
    n_bytes: int = MAX_BYTES
    """Of the body, decompressed."""


USUAL_LIMITS = Limits()


class Received(NamedTuple):
    """A reply, and what the server said is left of its rate limits."""

    reply: Reply
    allowances: tuple[Allowance, ...] = ()


class Connection(Protocol):
    """A provider's protocol over HTTP."""

    name: str
    place: tuple[str, str]
    """Server and model; calls to the same place share rate limits."""

    def attempt(self, request: Request) -> Received:
        """Send a request once; raises Busy, Rejected, OtherForm or ModelError."""
        ...

    def wire(self, request: Request) -> dict[str, Any]:
        """The request as JSON of the provider's protocol."""
        ...

    def read(self, body: dict[str, Any], request: Request) -> Reply:
        """The reply in the body of an answer; ModelError if there is none."""
        ...

    def most_output(self, request: Request) -> int:
        """Limit of the reply's tokens, as it is sent: those of the answer and those to think with."""
        ...

    def models(self) -> HttpReply:
        """The server's list of models, at least of this one: objects under ``data``. Asking is free."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def connect(config: ModelConfig, timeout_s: float = TIMEOUT_S) -> Connection:
    """A connection to a language model. Nothing is sent.

    Raises:
        UsageError: the name is not of the form ``provider:MODEL``, or there is no key.
    """
    return import_module(f".{config.provider}", __package__).connect(config, Limits(timeout_s))


def send_counted(connection: Connection, request: Request) -> Received:
    """Send a request once, counted by its meter; raises what `attempt` raises, and BudgetReached."""
    sent = request.meter.send(request, connection.most_output(request))
    try:
        received = connection.attempt(request)
    except BaseException as error:
        sent.failed(error)
        raise
    sent.answered(received.reply)
    return received


class ServerAddress(NamedTuple):
    """Where requests go."""

    url: str
    """Without login; "" is the provider's own server."""
    full: str
    """With the login and the query of the environment's address of this server."""


def server_address(base_url: str, variable: str) -> ServerAddress:
    """The server of a configuration.

    Logins are never part of `base_url`, which is stored and printed. They are taken from the
    environment's address of the same server.

    Args:
        variable: the environment variable of the provider's address, which is used if the
            configuration names none.

    Raises:
        UsageError: it is not an HTTP address, or `base_url` holds a login or a key.
    """
    check_base_url(base_url, variable)
    environment = os.environ.get(variable, "").strip()
    clean = without_login(environment)
    if environment and base_url.rstrip("/") in ("", clean.rstrip("/")):
        return ServerAddress(base_url or clean, environment)
    return ServerAddress(base_url, base_url)


def client_options(
    provider: str, config: ModelConfig, limits: Limits, own_server: str
) -> dict[str, Any]:
    """Arguments of either SDK's client. Its own retries are off.

    Args:
        provider: as in the environment variables PROVIDER_API_KEY and PROVIDER_BASE_URL.
        own_server: the provider's own address.

    Raises:
        UsageError: the provider's own server has no key; or the key or the address cannot be used.
    """
    variable = f"{provider}_API_KEY"
    key = os.environ.get(variable, "").strip()
    if not key and not config.base_url:
        raise UsageError(
            f"no key: set {variable}, or name a server that needs none with --base-url URL"
        )
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"{variable} holds characters that no key has; copy the key again")
    from .transport import make_http_client  # here: importing the HTTP library takes 0.1 s

    address = server_address(config.base_url, f"{provider}_BASE_URL")
    url, _, query = (address.full or own_server).partition("?")
    return {
        "api_key": key or "none",
        "base_url": url,
        "default_query": dict(parse_qsl(query)),
        "timeout": limits.seconds,
        "max_retries": 0,
        "http_client": make_http_client(url, address.url or own_server, *limits),
    }
