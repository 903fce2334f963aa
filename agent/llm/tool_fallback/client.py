"""A client whose tools are told and called in another form than the loop's, which sees no difference."""

from __future__ import annotations

from collections.abc import Callable

from ..conversation import Client, Reply, Request


class ToolFallbackClient:
    """A client behind a way to ask and a way to read what comes back.

    Args:
        ask: the request that the model gets, of one that has tools.
        read: the reply that the loop gets.
    """

    def __init__(
        self, client: Client, ask: Callable[[Request], Request], read: Callable[[Reply], Reply]
    ) -> None:
        self.name = client.name
        self._client, self._ask, self._read = client, ask, read

    def reply(self, request: Request) -> Reply:
        """The model's reply; a request without tools goes through as it is."""
        if not request.tools:
            return self._client.reply(request)
        return self._read(self._client.reply(self._ask(request)))

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()
