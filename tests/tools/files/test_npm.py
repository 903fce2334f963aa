"""Fetching a package's archive, from a registry on loopback and by the client's own rules."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hubel.tools.errors import CorruptError, UnavailableError
from hubel.tools.files.npm import fetch_from_npm

CONTENT = b"an archive"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A registry's folder, served without npm on the path."""
    folder = tmp_path / "registry"
    (folder / "words" / "-").mkdir(parents=True)
    (folder / "words" / "-" / "words-1.0.0.tgz").write_bytes(CONTENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"http://127.0.0.1:{server.server_port}/")
    yield folder
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_archive_is_put_in_place_and_not_fetched_again(registry: Path, tmp_path: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        path = fetch_from_npm("words", "1.0.0", SHA256, tmp_path / "cache", progress=said.append)
        assert path.name == "words-1.0.0.tgz"
        assert path.read_bytes() == CONTENT
    assert said == ["fetching words 1.0.0 from the npm registry"]


def test_another_archive_is_refused_and_not_kept(registry: Path, tmp_path: Path) -> None:
    with pytest.raises(CorruptError, match=r"words-1\.0\.0\.tgz has SHA-256"):
        fetch_from_npm("words", "1.0.0", "0" * 64, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.tgz"))


@pytest.mark.parametrize("cause", ["absent", "closed", "no address"])
def test_an_unreachable_package_is_named(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    if cause == "closed":
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9")
    elif cause == "no address":
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", "registry")
    version = "9.9.9" if cause == "absent" else "1.0.0"
    with pytest.raises(
        UnavailableError, match=f"cannot fetch words {version}.*NPM_CONFIG_REGISTRY"
    ):
        fetch_from_npm("words", version, SHA256, tmp_path / "cache")


def test_the_client_s_reason_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = tmp_path / "bin" / "npm"
    client.parent.mkdir()
    client.write_text(
        "#!/bin/sh\necho 'npm error code E404' >&2\necho 'npm error no such thing' >&2\nexit 1\n"
    )
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{client.parent}:/usr/bin:/bin")
    with pytest.raises(UnavailableError, match="no such thing"):
        fetch_from_npm("words", "1.0.0", SHA256, tmp_path / "cache")
