"""A Hugging Face hub on this machine: repositories are folders, and requests are counted."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class StandInHub:
    """Serves `root/OWNER/NAME`.

    Attributes:
        fetched: paths of files that were sent.
    """

    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url = root, url
        self.fetched: list[str] = []

    def files(self, repository: str) -> list[str] | None:
        """The files of a repository; None if there is no such one."""
        folder = self.root / repository
        if not folder.is_dir():
            return None
        paths = (path for path in folder.rglob("*") if path.is_file())
        return sorted(path.relative_to(folder).as_posix() for path in paths)

    def size(self, repository: str, name: str) -> int:
        """Bytes of a file."""
        return (self.root / repository / name).stat().st_size


@contextmanager
def stand_in_hub(root: Path) -> Iterator[StandInHub]:
    """The hub, listening on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    hub = StandInHub(root, f"http://127.0.0.1:{server.server_port}")
    server.hub = hub  # pyright: ignore[reportAttributeAccessIssue]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, *, with_body: bool) -> None:
        hub: StandInHub = self.server.hub  # pyright: ignore[reportAttributeAccessIssue]
        path = self.path.split("?")[0]
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/\w+", path):
            names = hub.files(match[1])
            if names is not None:
                tree = [
                    {"type": "file", "path": name, "size": hub.size(match[1], name), "oid": COMMIT}
                    for name in names
                ]
                return self._send(200, json.dumps(tree).encode(), "application/json", with_body)
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/\w+)?", path):
            names = hub.files(match[1])
            if names is not None:
                siblings = [{"rfilename": name} for name in names]
                content = {"id": match[1], "sha": COMMIT, "siblings": siblings}
                return self._send(200, json.dumps(content).encode(), "application/json", with_body)
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/\w+/(.+)", path):
            file = hub.root / match[1] / match[2]
            if file.is_file():
                if with_body:
                    hub.fetched.append(match[2])
                return self._send(200, file.read_bytes(), "application/octet-stream", with_body)
        return self._send(404, b"{}", "application/json", with_body, error="RepoNotFound")

    def _send(
        self, status: int, body: bytes, kind: str, with_body: bool, *, error: str = ""
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        if with_body:
            self.wfile.write(body)
