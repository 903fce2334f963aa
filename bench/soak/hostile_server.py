"""A model server that may break the rules of HTTP: it writes any bytes to its sockets."""

from __future__ import annotations

import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

Respond = Callable[[socket.socket, bytes], None]
"""Answers one request: gets the connection and the request, headers and body."""


class HostileServer:
    """A server on loopback with one thread per connection; a context manager.

    Args:
        respond: writes the answer to a request; the connection is closed after it.
    """

    def __init__(self, respond: Respond) -> None:
        self.requests: list[bytes] = []
        self._respond = respond
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> HostileServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # `accept` returns only if the listening end is shut down
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed: the server is over
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):  # the client has hung up
            if request := read_request(connection):
                self.requests.append(request)
                self._respond(connection, request)


def read_request(connection: socket.socket) -> bytes:
    """One request, headers and body; empty if there is none."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65536)
        if not part:
            return b""
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    length = int(lengths[0].partition(b":")[2]) if lengths else 0
    while len(body) < length and (part := connection.recv(65536)):
        body += part
    return head + b"\r\n\r\n" + body


def http_response(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """A whole response, head and body."""
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", *headers]
    lines += [f"content-length: {len(body)}", "connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


def answering(body: object, status: str = "200 OK", *headers: str) -> Respond:
    """Always the same answer: bytes as they are, anything else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    whole = http_response(content, status, *headers)
    return lambda connection, _request: connection.sendall(whole)


def sending(parts: Callable[[], Iterable[bytes]]) -> Respond:
    """An answer that is written part by part, for as long as the client takes it."""

    def respond(connection: socket.socket, _request: bytes) -> None:
        for part in parts():
            connection.sendall(part)

    return respond


def without_end(start: bytes, part: bytes, pause_s: float = 0.0) -> Respond:
    """An answer whose last part is repeated for as long as the client takes it."""

    def parts() -> Iterator[bytes]:
        yield start
        while True:
            yield part
            time.sleep(pause_s)

    return sending(parts)


def reply(provider: str, text: str = "", calls: Iterable[Any] = (), **more: Any) -> dict[str, Any]:
    """A good reply as a provider's server writes it.

    Args:
        calls: arguments of calls of the tool `ready`.
    """
    if provider == "anthropic":
        blocks: list[Any] = [{"type": "text", "text": text}] if text else []
        blocks += [
            {"type": "tool_use", "id": f"c{i}", "name": "ready", "input": arguments}
            for i, arguments in enumerate(calls)
        ]
        return {"content": blocks, "stop_reason": "end_turn", "model": "mind", **more}
    tool_calls = [
        {"id": f"c{i}", "function": {"name": "ready", "arguments": json.dumps(arguments)}}
        for i, arguments in enumerate(calls)
    ]
    message = {"role": "assistant", "content": text, "tool_calls": tool_calls}
    return {"choices": [{"message": message, "finish_reason": "stop"}], "model": "mind", **more}


def gzipped(chunk: bytes, times: int) -> Iterator[bytes]:
    """A chunk, repeated and compressed, in parts."""
    compress = zlib.compressobj(1, wbits=31)
    for _ in range(times):
        if part := compress.compress(chunk):
            yield part
    yield compress.flush()
