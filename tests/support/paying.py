"""A model that explains, simulates and judges over the wire, and comparison of a log with a server's ledger."""

from __future__ import annotations

from pathlib import Path

from hubel.agent.llm.conversation import Reply, Request
from hubel.agent.runlog.log import read_events
from hubel.bench.loopback import Loopback
from tests.agent.run.test_readers import Reads
from tests.support.scripted_model import diligent


class Everything:
    """Explains like `diligent` where there are tools, else simulates and judges."""

    name = "openai:everything"

    def __init__(self) -> None:
        self._reads = Reads()

    def reply(self, request: Request) -> Reply:
        return diligent(0, request) if request.tools else self._reads.reply(request)


def requests_in_log(*folders: Path) -> int:
    """Requests that the logs say were sent."""
    calls: dict[tuple[Path, str | None, str | None], int] = {}
    for folder in folders:
        for event in read_events(folder):
            if event.event == "llm_request":  # the last of one name counts
                calls[folder, event.target, event.id] = event.data["calls"]
    return sum(calls.values())


def requests_on_server(server: Loopback) -> int:
    """Requests in the server's own ledger."""
    return len(server.ledger.entries())
