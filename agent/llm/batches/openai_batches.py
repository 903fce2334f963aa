"""OpenAI's Batch API: requests are uploaded as a file, and results come as two files.

Some compatible servers have it too; most (vLLM, Ollama, llama.cpp) do not.

1. The file of requests is uploaded; nothing runs yet.
2. A batch is created from the file, with our own name among its metadata, by which it is found again.
3. When it has ended, answers are in the output file, errors in the error file. An expired or
   cancelled batch has both: what was done before is answered, and billed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..http_errors import send_for_bytes, send_once
from ..json_values import as_object, as_objects, token_count
from ..openai import OpenAIConnection
from .service import (
    BATCH_LIMITS,
    BatchResult,
    BatchStatus,
    SentBatch,
    Sought,
    custom_id,
    json_lines,
    or_no_batches,
)

if TYPE_CHECKING:
    from ...runlog.model_config import ModelConfig
    from ..conversation import Request

ENDPOINT = "/v1/chat/completions"
NAME_KEY = "hubel_batch"
"""The key of our name in a batch's metadata."""
ENDED = ("completed", "failed", "expired", "cancelled")
NEVER_RAN = ("batch_expired", "batch_cancelled")
"""Codes of errors of requests that were not tried."""
CLOCK_SLACK_S = 24 * 3600.0
"""How far the server's clock may be behind ours when an old batch is looked for."""


class OpenAIBatches:
    """A `service.BatchService` over OpenAI's files and batches."""

    def __init__(self, config: ModelConfig) -> None:
        self.connection = OpenAIConnection(config, BATCH_LIMITS)
        self.where = config.base_url or "OpenAI"
        self._client, self._server = self.connection.client, self.connection.server

    def check(self) -> None:
        """Raise UsageError unless the server has a batch API. Free."""
        or_no_batches(self.where, lambda: self._list(limit=1))

    def upload(self, name: str, requests: Sequence[Request]) -> str:
        """Upload the requests as a file; its id."""
        lines = [
            {
                "custom_id": custom_id(name, place),
                "method": "POST",
                "url": ENDPOINT,
                "body": self.connection.wire(request),
            }
            for place, request in enumerate(requests)
        ]
        content = "".join(json.dumps(line) + "\n" for line in lines).encode()
        create = self._client.files.with_raw_response.create
        file = (f"hubel-{name}.jsonl", content)
        body = send_once(
            self._server, lambda: create(file=file, purpose="batch").http_response
        ).body
        return str(body.get("id") or "")

    def create(self, name: str, requests: Sequence[Request], file: str) -> str:
        """Make the provider run the uploaded requests; the batch's id."""
        create = self._client.batches.with_raw_response.create

        def send() -> Any:
            return create(
                completion_window="24h",
                endpoint=ENDPOINT,
                input_file_id=file,
                metadata={NAME_KEY: name},
            ).http_response

        return str(send_once(self._server, send).body.get("id") or "")

    def find(self, sent: SentBatch) -> Sought:
        """The batch with our name, or made from our file."""
        after = ""
        while True:
            body = self._list(limit=100, after=after)
            batches = as_objects(body.get("data"))
            for batch in batches:
                named = as_object(batch.get("metadata")).get(NAME_KEY) == sent.name
                if named or (sent.file and batch.get("input_file_id") == sent.file):
                    return Sought(str(batch.get("id")))
            oldest = batches[-1].get("created_at") if batches else None
            too_old = isinstance(oldest, int) and oldest < sent.at - CLOCK_SLACK_S
            if not batches or too_old or not body.get("has_more"):
                return Sought()
            after = str(batches[-1].get("id"))

    def status(self, id: str) -> BatchStatus:
        """How far a batch is."""
        retrieve = self._client.batches.with_raw_response.retrieve
        body = send_once(self._server, lambda: retrieve(id).http_response).body
        word, counts = str(body.get("status")), as_object(body.get("request_counts"))
        done, failed, total = (
            token_count(counts.get(name)) or 0 for name in ("completed", "failed", "total")
        )
        problems = as_objects(as_object(body.get("errors")).get("data"))
        why = "; ".join(f"{p.get('code')}: {p.get('message')}" for p in problems[:3])
        files = (body.get("output_file_id"), body.get("error_file_id"))
        return BatchStatus(
            word in ENDED,
            word,
            done,
            failed,
            total,
            (why or "no reason given")[:300] if word == "failed" else "",
            tuple(file for file in files if isinstance(file, str) and file),
        )

    def results(self, id: str, status: BatchStatus) -> list[BatchResult]:
        """The lines of the output file and of the error file."""
        return [_result(line) for file in status.files for line in json_lines(self._file(file), id)]

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _list(self, *, limit: int, after: str = "") -> dict[str, Any]:
        import openai

        list_batches, omit = self._client.batches.with_raw_response.list, openai.omit
        return send_once(
            self._server, lambda: list_batches(limit=limit, after=after or omit).http_response
        ).body

    def _file(self, file: str) -> bytes:
        import httpx2

        path = f"/files/{quote(file, safe='')}/content"
        get = self._client.get
        return send_for_bytes(self._server, lambda: get(path, cast_to=httpx2.Response)).content


def _result(line: Mapping[str, Any]) -> BatchResult:
    """One line of a file of results."""
    id, response, error = (
        str(line.get("custom_id")),
        as_object(line.get("response")),
        as_object(line.get("error")),
    )
    body, status = as_object(response.get("body")), response.get("status_code")
    if status == 200 and not error:
        return BatchResult(id, body)
    error = error or as_object(body.get("error"))
    code = str(error.get("code") or status)
    reason = " ".join(str(error.get("message") or "no reason given").split())[:300]
    return BatchResult(id, None, f"{code}: {reason}", ran=code not in NEVER_RAN)


connect = OpenAIBatches
