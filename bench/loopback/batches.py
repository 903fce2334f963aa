"""Batches of both providers: OpenAI's files and batches, Anthropic's message batches.

A batch ends `batch_s` seconds after it was created. Its requests are answered then, by the same model
and rules as single ones, and each answer is in the ledger: what a provider would bill.

Faults (`batch_faults` of the script), of every batch or, where it says so, of the first one only:

    refuse_create      the first attempt to create one gets 429, and creates nothing
    lost_create        the first is created, and answered 500
    poll_errors        the first two looks at each get 503
    cut_results        the first reading of each one's results is closed in the middle
    shuffled           results come in reverse order
    stranger           there is a result for an unknown custom id
    twice              each result comes twice
    missing            the last result is missing
    partial            every third request of the first batch fails
    expired, canceled  the second half of the first batch is not answered
    failed             the first batch is refused as a whole (Anthropic: each request fails)
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

from .wires import Provider, WireReply

if TYPE_CHECKING:
    from .ledger import Ledger
    from .script import Script

POLL_ERRORS = 2
PAGE = 20
"""Batches of a page of the list by default, as at both providers."""
AnswerOne = Callable[[Provider, bytes, str, str, int], WireReply]
"""Answers one request: protocol, body, key, hash, how often it has come."""


class BatchAnswer(NamedTuple):
    """What a request for batches is answered."""

    status: int
    body: bytes
    cut: bool = False
    """Whether the connection is closed in the middle of it."""
    kind: str = ""
    """Kind of the error, for a status of 400 and above; its text is the body."""


@dataclass
class _Batch:
    id: str
    provider: Provider
    room: str
    key: str
    requests: list[tuple[str, dict[str, Any]]]
    """Custom ids and bodies."""
    is_first: bool
    file: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created: float = field(default_factory=time.time)
    results: list[tuple[str, str, Any]] | None = None
    """Custom id, kind (succeeded | errored | expired | canceled) and body; None while it runs."""


class BatchCounter:
    """The batches of one server. Thread-safe."""

    def __init__(self, script: Script, ledger: Ledger, answer: AnswerOne) -> None:
        self._script, self._ledger, self._answer = script, ledger, answer
        self._files: dict[str, bytes] = {}
        self._batches: dict[str, _Batch] = {}
        self._seen: Counter[str] = Counter()
        """How often something has happened, for faults."""
        self._lock = threading.RLock()

    def created(self, room: str = "") -> int:
        """How many batches were created in a room."""
        return sum(batch.room == room for batch in self._batches.values())

    def post(self, room: str, path: str, raw: bytes, key: str) -> BatchAnswer | None:
        """The answer to a POST; None if it is not about batches."""
        with self._lock:
            if path == "/v1/files":
                id = f"file-{len(self._files) + 1}"
                self._files[id] = _uploaded(raw)
                return _ok({"id": id, "object": "file", "purpose": "batch", "bytes": len(raw)})
            if path == "/v1/batches":
                return self._create("openai", room, json.loads(raw), key)
            if path == "/v1/messages/batches":
                return self._create("anthropic", room, json.loads(raw), key)
        return None

    def get(self, room: str, path: str, query: str) -> BatchAnswer | None:
        """The answer to a GET; None if it is not about batches."""
        with self._lock:
            parts = path.strip("/").split("/")
            if parts[:2] == ["v1", "files"] and parts[3:] == ["content"]:
                return self._content(parts[2])
            if parts[:2] == ["v1", "batches"]:
                return self._look("openai", room, parts[2:], query)
            if parts[:3] == ["v1", "messages", "batches"]:
                return self._look("anthropic", room, parts[3:], query)
        return None

    def _has(self, fault: str) -> bool:
        return fault in self._script.batch_faults

    def _first(self, what: str, times: int = 1) -> bool:
        """Whether something happens for the first time."""
        self._seen[what] += 1
        return self._seen[what] <= times

    def _create(self, provider: Provider, room: str, body: dict[str, Any], key: str) -> BatchAnswer:
        if self._has("refuse_create") and self._first(f"refused {room}"):
            return BatchAnswer(429, b"too many batches", kind="rate_limit_error")
        if provider == "openai":
            lines = self._files.get(body["input_file_id"], b"").decode().splitlines()
            named = [(line["custom_id"], line["body"]) for line in map(json.loads, lines)]
        else:
            named = [(line["custom_id"], line["params"]) for line in body["requests"]]
        if not named or len({id for id, _ in named}) != len(named):
            return BatchAnswer(400, b"each request needs a custom_id of its own", kind="invalid")
        id = f"{'batch' if provider == 'openai' else 'msgbatch'}_{len(self._batches) + 1}"
        self._batches[id] = batch = _Batch(
            id,
            provider,
            room,
            key,
            named,
            not self.created(room),
            body.get("input_file_id", ""),
            body.get("metadata") or {},
        )
        if self._has("lost_create") and self._first(f"lost {room}"):
            return BatchAnswer(500, b"something went wrong", kind="api_error")
        return _ok(self._described(batch))

    def _look(self, provider: Provider, room: str, parts: list[str], query: str) -> BatchAnswer:
        if not parts:
            return self._list(provider, room, {k: v[0] for k, v in parse_qs(query).items()})
        batch = self._batches.get(parts[0])
        if batch is None or (batch.provider, batch.room) != (provider, room):
            return BatchAnswer(404, b"there is no such batch", kind="not_found_error")
        if self._has("poll_errors") and self._first(f"polled {batch.id}", POLL_ERRORS):
            return BatchAnswer(503, b"try again", kind="api_error")
        self._run(batch)
        if parts[1:] != ["results"]:
            return _ok(self._described(batch))
        if batch.results is None:
            return BatchAnswer(404, b"it has not ended", kind="not_found_error")
        return self._lines(batch, batch.results)

    def _list(self, provider: Provider, room: str, query: Mapping[str, str]) -> BatchAnswer:
        mine = [b for b in self._batches.values() if (b.provider, b.room) == (provider, room)]
        newest = list(reversed(mine))
        after = query.get("after") or query.get("after_id")
        start = next((n for n, b in enumerate(newest, 1) if b.id == after), 0)
        end = start + int(query.get("limit", PAGE))
        for batch in newest[start:end]:
            self._run(batch)
        page = [self._described(batch) for batch in newest[start:end]]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {}
        return _ok({"object": "list", "data": page, "has_more": end < len(newest)} | ends)

    def _run(self, batch: _Batch) -> None:
        """Answer the requests of a batch whose time has come."""
        if batch.results is not None or time.time() < batch.created + self._script.batch_s:
            return
        batch.results = []
        for number, (id, body) in enumerate(batch.requests):
            kind = self._kind(batch, number)
            batch.results.append((id, kind, None))
            if kind == "succeeded":
                batch.results[-1] = (id, *self._one(batch, body))

    def _kind(self, batch: _Batch, number: int) -> str:
        """What becomes of one request, as far as the faults say."""
        if batch.is_first:
            if self._has("failed") or (self._has("partial") and number % 3 == 2):
                return "errored"
            for early in ("expired", "canceled"):
                if self._has(early) and number >= (len(batch.requests) + 1) // 2:
                    return early
        return "succeeded"

    def _one(self, batch: _Batch, body: dict[str, Any]) -> tuple[str, Any]:
        raw = json.dumps(body).encode()
        entry, repetition = self._ledger.open(
            hashlib.sha256(raw).hexdigest()[:16], batch.room, batch.key
        )
        reply = self._answer(batch.provider, raw, batch.key, entry.hash, repetition)
        self._ledger.close(entry, 0 if reply.fault else reply.status, reply.what)
        try:
            answer = json.loads(reply.body)
        except ValueError:
            answer = {"error": {"type": "api_error", "message": "no answer"}}
        return ("succeeded" if reply.status == 200 and not reply.fault else "errored"), answer

    def _described(self, batch: _Batch) -> dict[str, Any]:
        """A batch as its provider describes it."""
        kinds = Counter(kind for _, kind, _ in batch.results or ())
        return (
            _openai(self, batch, kinds) if batch.provider == "openai" else _anthropic(batch, kinds)
        )

    def whole_fails(self, batch: _Batch) -> bool:
        """Whether a batch is refused as a whole."""
        return batch.is_first and self._has("failed")

    def _content(self, file: str) -> BatchAnswer:
        id, _, which = file.partition("-")
        batch = self._batches.get(id)
        if batch is None or batch.results is None:
            return BatchAnswer(404, b"there is no such file", kind="not_found_error")
        good = which == "output"
        return self._lines(batch, [r for r in batch.results if (r[1] == "succeeded") == good])

    def _lines(self, batch: _Batch, results: list[tuple[str, str, Any]]) -> BatchAnswer:
        """Results as JSON lines."""
        if self._has("missing"):
            results = results[:-1]
        if self._has("shuffled"):
            results = results[::-1]
        if self._has("twice"):
            results = results + results
        if self._has("stranger"):
            results = [("somebody-else-1", *results[0][1:]), *results] if results else results
        line = _openai_line if batch.provider == "openai" else _anthropic_line
        content = "".join(json.dumps(line(*result)) + "\n" for result in results).encode()
        cut = self._has("cut_results") and bool(content) and self._first(f"read {batch.id}")
        return BatchAnswer(200, content, cut)


def _ok(value: Any) -> BatchAnswer:
    return BatchAnswer(200, json.dumps(value).encode())


def _uploaded(raw: bytes) -> bytes:
    """The file in a multipart form."""
    boundary = raw.partition(b"\r\n")[0]
    for part in raw.split(boundary):
        head, _, content = part.partition(b"\r\n\r\n")
        if b"filename=" in head:
            return content.removesuffix(b"\r\n")
    return b""


def _openai(counter: BatchCounter, batch: _Batch, kinds: Counter[str]) -> dict[str, Any]:
    status = "in_progress"
    if counter.whole_fails(batch):
        status = "failed"
    elif batch.results is not None:
        status = {"expired": "expired", "canceled": "cancelled"}.get(
            next((kind for kind in kinds if kind in ("expired", "canceled")), ""), "completed"
        )
    failed = sum(kinds.values()) - kinds["succeeded"]
    counts = {"total": len(batch.requests), "completed": kinds["succeeded"], "failed": failed}
    has_files = batch.results is not None and status != "failed"
    why = [{"code": "invalid_json_line", "message": "the file cannot be read"}]
    return {
        "id": batch.id,
        "object": "batch",
        "status": status,
        "created_at": int(batch.created),
        "input_file_id": batch.file,
        "metadata": batch.metadata,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "request_counts": counts,
        "output_file_id": f"{batch.id}-output" if has_files and kinds["succeeded"] else None,
        "error_file_id": f"{batch.id}-errors" if has_files and failed else None,
        "errors": {"object": "list", "data": why} if status == "failed" else None,
    }


def _openai_line(id: str, kind: str, body: Any) -> dict[str, Any]:
    line: dict[str, Any] = {"id": f"batch_req_{id}", "custom_id": id, "error": None}
    if kind == "succeeded":
        return line | {"response": {"status_code": 200, "request_id": "r", "body": body}}
    if kind == "errored":
        error = {"error": {"message": "the server had an error", "type": "server_error"}}
        return line | {"response": {"status_code": 500, "request_id": "r", "body": error}}
    code = "batch_expired" if kind == "expired" else "batch_cancelled"
    return line | {"response": None, "error": {"code": code, "message": "not run in time"}}


def _anthropic(batch: _Batch, kinds: Counter[str]) -> dict[str, Any]:
    ended = batch.results is not None
    counts = {name: kinds[name] for name in ("succeeded", "errored", "expired", "canceled")}
    created = datetime.fromtimestamp(batch.created, UTC).isoformat()
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if ended else "in_progress",
        "request_counts": {"processing": 0 if ended else len(batch.requests)} | counts,
        "created_at": created,
        "expires_at": created,
        "ended_at": created if ended else None,
        "results_url": f"http://elsewhere.invalid/{batch.id}" if ended else None,
        "archived_at": None,
        "cancel_initiated_at": None,
    }


def _anthropic_line(id: str, kind: str, body: Any) -> dict[str, Any]:
    result: dict[str, Any] = {"type": kind}
    if kind == "succeeded":
        result["message"] = body
    if kind == "errored":
        error = {"type": "api_error", "message": "the server had an error"}
        result["error"] = {"type": "error", "error": error}
    return {"custom_id": id, "result": result}
