"""Anthropic's Message Batches: one call creates a batch, and one reads its results.

A batch has no metadata. One whose id was not written down is found by the custom ids of its results,
which begin with our name, and those can be read only when it has ended. Until then any batch with as
many requests that was created after ours was sent may be it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..anthropic import AnthropicConnection
from ..http_errors import send_for_bytes, send_once
from ..json_values import as_object, as_objects, token_count
from .service import (
    BATCH_LIMITS,
    BatchResult,
    BatchStatus,
    SentBatch,
    Sought,
    custom_id,
    json_lines,
    or_no_batches,
    place_of,
)

if TYPE_CHECKING:
    from ...runlog.model_config import ModelConfig
    from ..conversation import Request

PATH = "/v1/messages/batches"
COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")
NEVER_RAN = ("expired", "canceled")
"""Types of results of requests that were not tried."""
CLOCK_SLACK_S = 3600.0
"""How far the server's clock may be behind ours when a batch is looked for. Older ones are not read."""


class AnthropicBatches:
    """A `service.BatchService` over Anthropic's message batches."""

    def __init__(self, config: ModelConfig) -> None:
        self.connection = AnthropicConnection(config, BATCH_LIMITS)
        self.where = config.base_url or "Anthropic"
        self._client, self._server = self.connection.client, self.connection.server
        self._batches = self._client.messages.batches.with_raw_response

    def check(self) -> None:
        """Raise UsageError unless the server has a batch API. Free."""
        or_no_batches(self.where, lambda: self._list(limit=1))

    def upload(self, name: str, requests: Sequence[Request]) -> str:
        """Nothing: requests are sent when the batch is created."""
        return ""

    def create(self, name: str, requests: Sequence[Request], file: str) -> str:
        """Make the provider run the requests; the batch's id."""
        import httpx2

        lines = [
            {"custom_id": custom_id(name, place), "params": self.connection.wire(request)}
            for place, request in enumerate(requests)
        ]
        body = {"requests": lines}  # the SDK's own method looks for keys to rename in each message
        post = self._client.post
        created = send_once(self._server, lambda: post(PATH, body=body, cast_to=httpx2.Response))
        return str(created.body.get("id") or "")

    def find(self, sent: SentBatch) -> Sought:
        """The batch whose results have our custom ids."""
        after, running = "", False
        while True:
            body = self._list(limit=100, after=after)
            batches = as_objects(body.get("data"))
            for batch in batches:
                id, status = str(batch.get("id")), _status(batch)
                if id in sent.others or status.total != sent.requests or _is_before(batch, sent.at):
                    continue
                if not status.ended:
                    running = True
                elif self._holds(id, status, sent.name):
                    return Sought(id)
            if not batches or _is_before(batches[-1], sent.at) or not body.get("has_more"):
                return Sought(maybe_running=running)
            after = str(batches[-1].get("id"))

    def status(self, id: str) -> BatchStatus:
        """How far a batch is; what is done is counted only when it has ended."""
        retrieve = self._batches.retrieve
        return _status(send_once(self._server, lambda: retrieve(id).http_response).body)

    def results(self, id: str, status: BatchStatus) -> list[BatchResult]:
        """The lines of a batch's results."""
        import httpx2

        # The address in the batch (`results_url`) is not used: it could be another server's, which
        # would get the key.
        path, get = f"{PATH}/{quote(id, safe='')}/results", self._client.get
        content = send_for_bytes(self._server, lambda: get(path, cast_to=httpx2.Response)).content
        return [_result(line) for line in json_lines(content, id)]

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _holds(self, id: str, status: BatchStatus, name: str) -> bool:
        results = self.results(id, status)
        return any(place_of(name, result.custom_id) is not None for result in results)

    def _list(self, *, limit: int, after: str = "") -> dict[str, Any]:
        import anthropic

        list_batches, omit = self._batches.list, anthropic.omit
        return send_once(
            self._server, lambda: list_batches(limit=limit, after_id=after or omit).http_response
        ).body


def _status(batch: Mapping[str, Any]) -> BatchStatus:
    counts = as_object(batch.get("request_counts"))
    processing, succeeded, *others = (token_count(counts.get(name)) or 0 for name in COUNTS)
    word = str(batch.get("processing_status"))
    total = processing + succeeded + sum(others)
    return BatchStatus(word == "ended", word, succeeded, sum(others), total)


def _is_before(batch: Mapping[str, Any], at: float) -> bool:
    """Whether a batch was created before a time; False if it does not say."""
    try:
        created = datetime.fromisoformat(str(batch.get("created_at")))
    except ValueError:
        return False
    return created.timestamp() < at - CLOCK_SLACK_S


def _result(line: Mapping[str, Any]) -> BatchResult:
    """One line of the results."""
    id, result = str(line.get("custom_id")), as_object(line.get("result"))
    kind = str(result.get("type"))
    if kind == "succeeded":
        return BatchResult(id, as_object(result.get("message")))
    error = as_object(as_object(result.get("error")).get("error"))
    reason = " ".join(str(error.get("message") or "").split())[:300]
    line_of_error = ": ".join(filter(None, (str(error.get("type") or kind), reason)))
    return BatchResult(id, None, line_of_error, ran=kind not in NEVER_RAN)


connect = AnthropicBatches
