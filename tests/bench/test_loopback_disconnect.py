"""A client that goes away while the loopback server answers leaves no traceback and no dead server."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import time

import pytest

from hubel.agent.llm.conversation import Reply, Request
from hubel.bench.loopback import Loopback


class SlowModel:
    name = "openai:slow"

    def reply(self, request: Request) -> Reply:
        """Long enough for the client to be gone."""
        time.sleep(0.2)
        return Reply("here " * 100_000)


def test_a_client_that_is_gone_is_no_error(capfd: pytest.CaptureFixture[str]) -> None:
    body = json.dumps({"model": "slow", "messages": [{"role": "user", "content": "hello"}]})
    with Loopback(SlowModel()) as server:
        host, port = server.url("openai").removeprefix("http://").removesuffix("/v1").split(":")
        killed = socket.create_connection((host, int(port)))
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
        killed.sendall((head + body).encode())
        killed.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        killed.close()  # a reset, as from a process that was killed
        while not server.bodies:
            time.sleep(0.02)
        alive = http.client.HTTPConnection(host, int(port), timeout=20)
        alive.request("POST", "/v1/chat/completions", body)
        assert json.load(alive.getresponse())["choices"]
        alive.close()
    assert "Traceback" not in capfd.readouterr().err
