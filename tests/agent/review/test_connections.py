"""No client keeps others from the page by holding on to connections, and every answer has the policy."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from hubel.agent.review import connections
from hubel.agent.review.guard import HEADERS
from hubel.agent.review.run_catalog import RunCatalog
from tests.agent.review.conftest import ReviewClient, serving

HALF_A_HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


@contextmanager
def connected(client: ReviewClient, sent: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        connection.sendall(sent)
        yield connection


def everything(connection: socket.socket) -> bytes:
    """What the server sends until it closes the connection."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def half_a_body(client: ReviewClient) -> bytes:
    """A request that the server accepts, up to the first byte of its body."""
    host = f"127.0.0.1:{client.port}"
    lines = [
        "POST /api/runs/run/targets/mlp.0.0/reviews HTTP/1.1",
        f"Host: {host}",
        f"Origin: http://{host}",
        f"Cookie: {client.guard.cookie}={client.guard.token}",
        "Content-Type: application/json",
        "Content-Length: 1000",
    ]
    return "\r\n".join([*lines, "", "{"]).encode()


@pytest.mark.parametrize("sent", [b"", HALF_A_HEAD], ids=["silent", "half a head"])
def test_visitor_gets_in_when_others_hold_every_connection(
    folder: Path, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 20)
    with serving(RunCatalog(folder.parent)) as client, ExitStack() as held:
        first = held.enter_context(connected(client, sent))
        for _ in range(50):
            held.enter_context(connected(client, sent))
        assert client.get("/api/runs").status == 200
        assert everything(first) == b""  # the one that waited longest had to go


def test_visitors_connection_outlives_those_of_strangers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 10)
    with serving(RunCatalog(folder.parent)) as client, ExitStack() as held:
        visitor = http.client.HTTPConnection("127.0.0.1", client.port, timeout=20)
        cookie = {"cookie": f"{client.guard.cookie}={client.guard.token}"}
        port = None
        with closing(visitor):
            for _ in range(2):
                visitor.request("GET", "/api/live", headers=cookie)
                answer = visitor.getresponse()
                assert (answer.status, bool(answer.read())) == (200, True)
                port = visitor.sock.getsockname()[1]
                for _ in range(30):
                    held.enter_context(connected(client, HALF_A_HEAD))
                client.get("/api/live")
            assert visitor.sock.getsockname()[1] == port  # it was not opened again


def test_unfinished_requests_end_however_slowly_they_go_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections._SECONDS, connections._Wait.REQUEST, 0.3)
    with serving(RunCatalog(folder.parent)) as client:
        for sent in (b"", HALF_A_HEAD, half_a_body(client)):
            with connected(client, sent) as connection:
                done = threading.Event()

                def trickle(
                    connection: socket.socket = connection, done: threading.Event = done
                ) -> None:
                    while not done.wait(0.05):
                        try:
                            connection.sendall(b"x")
                        except OSError:
                            return

                thread = threading.Thread(target=trickle)
                thread.start()
                answer = everything(connection)  # returns, since the server closes it
                done.set()
                thread.join()
                assert answer == b""


def test_request_without_end_is_cut_off(client: ReviewClient) -> None:
    with connected(
        client, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    ) as connection:
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            connection.sendall(chunk * 500)  # more than both sides buffer


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03 a TLS greeting\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000,
        b"GET / HTTP/1.0\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)  # fmt: skip
def test_answers_to_requests_that_are_not_proper_have_the_policy(
    client: ReviewClient, sent: bytes
) -> None:
    with connected(client, sent) as connection:
        head = everything(connection).partition(b"\r\n\r\n")[0].decode().lower()
    assert head.split()[1].startswith("4"), head
    for name, value in HEADERS.items():
        assert f"{name}: {value}".lower() in head
    assert head.count("content-security-policy") == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "TRACE", "BREW"])
@pytest.mark.parametrize(
    "path", ["/", "/api/runs", "/api/runs/run/targets/mlp.0.0/reviews", "/x", "*", "//x"]
)
def test_every_method_at_every_kind_of_address_has_the_policy(
    client: ReviewClient, method: str, path: str
) -> None:
    answer = client.send(method, path, b"x" if method == "PUT" else None)
    assert answer.status < 500
    assert answer.headers.items() >= HEADERS.items()
