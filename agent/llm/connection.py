"""A connection to one model: one attempt at a time, without retries (`retry` makes them).

Each provider is a module of this room with a `connect`; a further one is one more file, and its
name in `runlog.model_config.PROVIDERS`.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ...tools.errors import UsageError
from ..runlog.model_config import ModelConfig

if TYPE_CHECKING:
    from .conversation import Reply, Request
    from .http_errors import HttpReply
    from .rate_headers import Allowance

TIMEOUT_S = 600.0
"""Of one attempt. Reasoning models think for minutes; a shorter one pays for replies that nobody reads."""


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
        """Send a request once; raises Busy, Rejected or ModelError."""
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
    return import_module(f".{config.provider}", __package__).connect(config, timeout_s)


def client_options(variable: str, config: ModelConfig, timeout_s: float) -> dict[str, Any]:
    """Arguments of either SDK's client. Its own retries are off.

    Args:
        variable: the environment variable that holds the provider's API key.

    Raises:
        UsageError: the provider's own server is asked, and there is no key.
    """
    key = os.environ.get(variable, "").strip()
    if not key and not config.base_url:
        raise UsageError(
            f"no key: set {variable}, or name a server that needs none with --base-url URL"
        )
    return {
        "api_key": key or "none",
        "base_url": config.base_url or None,
        "timeout": timeout_s,
        "max_retries": 0,
    }
