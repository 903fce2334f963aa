"""A review server on loopback over copies of a finished run, and a client that talks to it as a browser would."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from hubel.agent.review.guard import Guard
from hubel.agent.review.run_catalog import RunCatalog
from hubel.agent.review.serve import listen, page_server
from hubel.agent.review.server import make_app
from tests.support.configs import run_config


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ReviewClient:
    """Requests with the cookie of a browser that has opened the page; any header can be given another value."""

    def __init__(self, port: int, guard: Guard) -> None:
        self.port, self.guard = port, guard

    def get(self, path: str, **headers: str | None) -> Response:
        return self.send("GET", path, None, **headers)

    def post(self, path: str, body: Any, **headers: str | None) -> Response:
        return self.send("POST", path, json.dumps(body).encode(), **headers)

    def send(self, method: str, path: str, body: bytes | None, **changed: str | None) -> Response:
        own = f"127.0.0.1:{self.port}"
        headers: dict[str, str | None] = {
            "host": own,
            "cookie": f"{self.guard.cookie}={self.guard.token}",
        }
        if body is not None:
            headers |= {"content-type": "application/json", "origin": f"http://{own}"}
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.putheader("content-length", str(len(body or b"")))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Response(
                answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
            )


@contextmanager
def serving(library: RunCatalog, *, live: bool = False) -> Iterator[ReviewClient]:
    """A server in a separate thread."""
    with closing(listen("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        guard = Guard(make_app(library, live=live), port=port)
        server = page_server(guard)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield ReviewClient(port, guard)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a subject that is loaded by its name, an index over it, and a finished run in `runs/`."""
    # imported here, because a test asserts that what only serves a run never loads torch
    from hubel.agent.run.execute import execute_run, make_run, resolve
    from hubel.tools.corpus import corpus_from_documents
    from hubel.tools.corpus.document import Document
    from hubel.tools.index import build_index
    from hubel.tools.subject import load_subject
    from tests.support.tiny import WORDS, tiny_model, tiny_tokenizer

    place = tmp_path_factory.mktemp("live")
    tokenizer = tiny_tokenizer()
    tiny_model(vocab_size=len(tokenizer)).save_pretrained(place / "subject")
    tokenizer.save_pretrained(place / "subject")
    subject = load_subject(str(place / "subject"))
    rng = np.random.default_rng(0)
    words = WORDS.split()
    texts = [
        " ".join(rng.choice(words, 80, p=rng.dirichlet(np.full(len(words), 0.5))))
        for _ in range(60)
    ]
    documents = [Document(f"d{i}", f"{i}: {text}.") for i, text in enumerate(texts)]
    build_index(subject, corpus_from_documents("made", documents, "0" * 64), place / "index")
    make_run(
        place / "runs" / "run",
        resolve(run_config(index=str(place / "index"), targets=["mlp.0.0", "mlp.1.2-"])),
    )
    execute_run(place / "runs" / "run", subject=subject)
    return place


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, in a separate runs folder."""
    return Path(shutil.copytree(finished, tmp_path / "runs" / "run"))


@pytest.fixture
def client(folder: Path) -> Iterator[ReviewClient]:
    """The page of that runs folder."""
    with serving(RunCatalog(folder.parent)) as client:
        yield client
