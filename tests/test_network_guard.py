"""The guard of tests/conftest.py: nobody leaves loopback, and the switch is what decides."""

from __future__ import annotations

import socket
import urllib.request

import pytest


@pytest.mark.parametrize("address", [("192.0.2.1", 9), ("2001:db8::1", 9, 0, 0)])
def test_connecting_beyond_loopback_fails(address: tuple) -> None:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as outside, pytest.raises(AssertionError, match="loopback only"):
        outside.connect(address)


def test_looking_up_a_name_fails() -> None:
    with pytest.raises(AssertionError, match=r"'example\.invalid'"):
        urllib.request.urlopen("http://example.invalid/", timeout=1)


def test_loopback_stays_open() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    with (
        server,
        socket.create_connection(("127.0.0.1", server.getsockname()[1]), timeout=5) as client,
    ):
        accepted, _ = server.accept()
        with accepted:
            accepted.sendall(b"hello")
            assert client.recv(5) == b"hello"
