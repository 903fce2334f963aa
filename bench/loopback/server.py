"""The server, with one thread per connection: keys, limits and the script's rules come before the
model.

The URL may name a room before the protocol's path (`http://127.0.0.1:8017/run-7/v1`), so that the
ledger tells clients apart. `GET /ledger` returns the requests so far.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from ...agent.llm.conversation import LanguageModel, Reply
from ...agent.review.guard import is_loopback
from ...tools.errors import UsageError
from . import dialects, faults, wires
from .batches import BatchCounter
from .ledger import Ledger
from .rate_limits import Limiter
from .script import Director, IncomingRequest, Rule, Script
from .wires import Provider, TokenCounts, WireReply

CHARACTERS_A_TOKEN = 4
"""How tokens are counted here, by a common rule of thumb; each word is at least one token."""
_WORD = re.compile(r"\w+")
MAX_BODY = 64 << 20
"""Bytes of a request; the longest conversations have 1 MB."""
IDLE_S = 60.0
"""A connection is closed when nothing has arrived for this long."""
PATHS: dict[str, Provider] = {"/chat/completions": "openai", "/messages": "anthropic"}


class Loopback:
    """The server; a context manager.

    Args:
        model: answers all requests that the script does not.
        port: 0 for any free port.
        script: keys, models, delays, limits, and which requests are answered differently.
        keep: whether `bodies` keeps all requests; a soak of many thousands does without.
    """

    def __init__(
        self,
        model: LanguageModel,
        port: int = 0,
        script: Script | None = None,
        *,
        keep: bool = True,
    ) -> None:
        self.model = model
        self.script = script or Script()
        self.ledger = Ledger()
        self.bodies: list[dict[str, Any]] = []
        self._keep = keep
        self._director = Director(self.script)
        self._limiter = Limiter(self.script.requests_a_minute, self.script.tokens_a_minute)
        self._cached: set[bytes] = set()
        self._count = 0
        self.batches = BatchCounter(self.script, self.ledger, self._answer)
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        try:
            self._server = _Server(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"cannot listen on port {port} ({error}); give another --port, or 0"
            ) from error
        self._server.loopback = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    def url(self, provider: str, room: str = "") -> str:
        """The base URL for a provider's SDK."""
        base = f"http://127.0.0.1:{self._server.server_port}" + (f"/{room}" if room else "")
        return base + ("/v1" if provider == "openai" else "")

    def __enter__(self) -> Loopback:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def listed(self, path: str) -> WireReply:
        """The answer to a GET."""
        if path == "/ledger":
            return WireReply(200, _json(self.ledger.to_json()))
        if (reply := self._about_batches(path)) is not None:
            return reply
        provider: Provider = "openai" if "/v1/" in path and "anthropic" not in path else "anthropic"
        name = path.partition("/models")[2].strip("/")
        if self.script.models and "/models" in path:
            if not name:
                return WireReply(200, _json(wires.models_of(provider, self.script.models)))
            if name in self.script.models:
                return WireReply(200, _json(wires.model_of(provider, name)))
        return _error(provider, 404, "not_found_error", f"there is no {path} here")

    def _about_batches(
        self, path: str, raw: bytes | None = None, key: str = ""
    ) -> WireReply | None:
        """The answer about batches to a POST, or to a GET without `raw`; None for another path."""
        if self.script.no_batches:
            return None
        whole, _, query = path.partition("?")
        room, _, rest = whole.partition("/v1/")
        room, rest = room.strip("/"), f"/v1/{rest}"
        shop = self.batches
        answer = shop.get(room, rest, query) if raw is None else shop.post(room, rest, raw, key)
        if answer is None:
            return None
        if answer.kind:
            provider: Provider = "anthropic" if "/messages/" in rest else "openai"
            return _error(provider, answer.status, answer.kind, answer.body.decode())
        return WireReply(answer.status, answer.body, fault="truncated" if answer.cut else "")

    def answer(self, path: str, raw: bytes, key: str) -> WireReply:
        """The answer to a POST, or a fault instead; waits as long as it should take."""
        if (about := self._about_batches(path, raw, key)) is not None:
            return about
        room, provider = _parse_path(path)
        entry, repetition = self.ledger.open(hashlib.sha256(raw).hexdigest()[:16], room, key)
        if provider is None:
            reply = _error("openai", 404, "", path)
        else:
            reply = self._answer(provider, raw, key, entry.hash, repetition)
        self.ledger.close(entry, 0 if reply.fault else reply.status, reply.what)
        return reply

    def _answer(
        self, provider: Provider, raw: bytes, key: str, hash: str, repetition: int
    ) -> WireReply:
        # 1. parse
        with self._lock:
            self._count += 1
            number = self._count
        try:
            body = json.loads(raw)
            model, request = str(body["model"]), wires.request_of(provider, body)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            return _error(
                provider, 400, "invalid_request_error", f"the body cannot be read: {error!r}"
            )
        if self._keep:
            self.bodies.append(body)
        # 2. refuse what a provider would refuse
        refusal = self._refuse(provider, model, key, body, wires.refusal_of(request))
        if refusal:
            return refusal
        # 3. rate limits and the script's rule
        incoming = IncomingRequest(provider, model, raw.decode(), hash, number, repetition)
        rule = self._director.rule(incoming) or Rule()
        counts = self._counts(provider, body)
        limited, headers = self._limiter.admit(provider, counts.prompt)
        if limited:
            return _error(provider, 429, "rate_limit_error", "too many a minute", headers)
        self._wait(rule)
        headers = {**headers, **rule.headers}
        if rule.status >= 400:
            return _error(provider, rule.status, rule.error, rule.message, headers)
        # 4. the reply, with its fault
        fault = faults.pick(rule.fault, number, provider)
        reply = faults.garble(fault, rule.reply() or self.model.reply(request))
        reply = _with_hash_in_ids(reply, hash)
        return _format(self.script, provider, model, reply, counts, fault, headers)

    def _wait(self, rule: Rule) -> None:
        delay = self.script.delay_s if rule.delay_s is None else rule.delay_s
        if delay > 0:
            self.stopping.wait(delay)

    def _refuse(
        self, provider: Provider, model: str, key: str, body: Mapping[str, Any], why: str
    ) -> WireReply | None:
        if self.script.key and key != self.script.key:
            return _error(
                provider, 401, "authentication_error", "that is not the key of this server"
            )
        if self.script.models and model not in self.script.models:
            return _error(provider, 404, "not_found_error", f"there is no model {model!r} here")
        why = dialects.refusal(self.script, provider, body) or why
        return _error(provider, 400, "invalid_request_error", why) if why else None

    def _counts(self, provider: Provider, body: Mapping[str, Any]) -> TokenCounts:
        """Tokens of the prompt; a prefix that was sent before is read from the cache."""
        parts, markable = wires.cacheable(provider, dict(body))
        digest, size, read, marked = hashlib.sha256(str(body["model"]).encode()), 0, 0, 0
        with self._lock:
            for number, part in enumerate(parts, 1):
                digest.update(f"{len(part)}:{part}".encode("utf-8", "surrogatepass"))
                size += max(len(part) // CHARACTERS_A_TOKEN, len(_WORD.findall(part)))
                if digest.digest() in self._cached:
                    read = size
                elif number <= markable:
                    self._cached.add(digest.digest())
                marked = size if number <= markable else marked
        written = max(0, marked - read) if provider == "anthropic" else 0
        if self.script.counts_only_new:
            return TokenCounts(size - read, 0, 0, 0)
        if limit := self.script.context_tokens:
            return TokenCounts(min(size, limit), 0, min(read, limit), 0)
        return TokenCounts(size, 0, read, written)


def _with_hash_in_ids(reply: Reply, hash: str) -> Reply:
    """Put the request's hash into the ids of tool calls, to compare a journal with the ledger."""
    calls = (replace(call, id=f"{call.id}_{hash}") if call.id else call for call in reply.calls)
    return replace(reply, calls=tuple(calls))


def _format(
    script: Script,
    provider: Provider,
    model: str,
    reply: Reply,
    counts: TokenCounts,
    fault: str,
    headers: Mapping[str, str],
) -> WireReply:
    size = len(reply.text) + sum(len(call.raw) for call in reply.calls)
    counts = TokenCounts(counts.prompt, size // CHARACTERS_A_TOKEN, counts.read, counts.written)
    answer = dialects.dressed(script, provider, wires.answer_of(provider, model, reply, counts))
    if fault in faults.BODIES:
        data = faults.BODIES[fault](provider, answer)
    else:
        data = dialects.events(provider, answer) if script.streams_only else _json(answer)
    return WireReply(
        200, data, fault or "answered", headers, fault if fault in faults.CONNECTION else ""
    )


def _error(
    provider: Provider,
    status: int,
    kind: str,
    message: str,
    headers: Mapping[str, str] | None = None,
) -> WireReply:
    return WireReply(status, _json(wires.error_of(provider, kind, message)), "error", headers or {})


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _parse_path(path: str) -> tuple[str, Provider | None]:
    """The room and the protocol of a path; None for an unknown path."""
    path = path.partition("?")[0]
    for ending, provider in PATHS.items():
        if path.endswith(ending):
            return path.removesuffix(ending).removesuffix("/v1").strip("/"), provider
    return "", None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that went away (a run that was stopped or killed)."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_S

    def do_GET(self) -> None:
        """The list of models, if the script has one, and the ledger."""
        if self._accepts():
            self._send(self._loopback.listed(self.path))

    def do_POST(self) -> None:
        """A request for a reply."""
        if not self._accepts():
            return
        raw = self.rfile.read(int(self.headers["content-length"] or 0))
        bearer = (self.headers["authorization"] or "").removeprefix("Bearer ")
        key = self.headers["x-api-key"] or bearer
        self._send(self._loopback.answer(self.path, raw, key))

    def _accepts(self) -> bool:
        """Whether a request is for this machine and of a readable length; answers it if not.

        A page in a browser could otherwise reach this server under a name that points here.
        """
        host = (self.headers["host"] or "localhost").rsplit(":", 1)[0]
        length = self.headers["content-length"] or "0"
        if not is_loopback(host):
            refusal = _error("openai", 403, "", "this server answers programs on this machine only")
        elif not length.isascii() or not length.isdigit() or int(length[:12]) > MAX_BODY:
            refusal = _error("openai", 413, "", f"give a content-length of at most {MAX_BODY:,}")
        else:
            return True
        self.close_connection = True
        self._send(refusal)
        return False

    @property
    def _loopback(self) -> Loopback:
        return cast(Any, self.server).loopback

    def _send(self, answer: WireReply) -> None:
        if answer.fault == "hang":
            self._await_end()
        if answer.fault in ("reset", "hang"):
            self._break(reset=answer.fault == "reset")
            return
        self.send_response(answer.status)
        for name, value in {"content-type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        half = answer.fault in ("cut", "truncated")
        self.wfile.write(answer.body[: len(answer.body) // 2] if half else answer.body)
        if half:
            time.sleep(0.02)  # otherwise the reset overtakes what was sent
            self._break(reset=answer.fault == "cut")

    def _await_end(self) -> None:
        """Wait until the client goes away or the server stops."""
        self.connection.settimeout(0.1)
        while not self._loopback.stopping.is_set():
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue

    def _break(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""
