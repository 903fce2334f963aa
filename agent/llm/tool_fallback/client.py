"""A client that describes and calls tools in another form, unseen by the loop."""

from __future__ import annotations

from collections.abc import Callable

from ..conversation import Client, Reply, Request
from ..reply_limits import bounded


class ToolFallbackClient:
    """A client with rewritten requests and replies.

    Args:
        ask: rewrites a request that has tools, for the model.
        read: rewrites the model's reply, for the loop.
    """

    def __init__(
        self, client: Client, ask: Callable[[Request], Request], read: Callable[[Reply], Reply]
    ) -> None:
        self.name = client.name
        self._client, self._ask, self._read = client, ask, read

    def reply(self, request: Request) -> Reply:
        """The model's reply; a request without tools passes unchanged."""
        if not request.tools:
            return self._client.reply(request)
        return bounded(self._read(self._client.reply(self._ask(request))))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
