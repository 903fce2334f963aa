"""The write-ahead journal: what was answered once is looked up, never asked or paid for again.

1. A request is named by the hash of its canonical JSON.
2. If the run log holds a row of that name, this row is the answer.
3. Otherwise the answer is made now and written to the log before anybody uses it.

Resume and replay rest on nothing else: a step that is interrupted runs again from its first line
and finds here what it had asked before.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from .log import Data, RunLog, canonical


def request_hash(request: Mapping[str, Any], length: int = 32) -> str:
    """The name of a request in the journal: hexadecimal digits of the SHA-256 of its JSON."""
    # A model may write lone surrogates; without "surrogatepass" they could not be hashed.
    return hashlib.sha256(canonical(request).encode("utf-8", "surrogatepass")).hexdigest()[:length]


class Journal:
    """Journaled requests of one run. Safe to use from many threads."""

    def __init__(self, log: RunLog) -> None:
        self.log = log

    def row(
        self, event: str, key: str, make: Callable[[], Data], *, target: str | None = None
    ) -> Data:
        """The row of that name, made and written now if the log does not hold it.

        Returns:
            The row as the log holds it, that is, after a round trip through JSON.
        """
        stored = self.log.get(event, target, key)
        if stored is None:
            fresh = make()
            self.log.write(event, fresh, target=target, id=key)
            stored = self.log.get(event, target, key) or fresh
        return stored

    def answer(
        self, event: str, target: str | None, request: Data, compute: Callable[[], Data]
    ) -> Data:
        """The answer to a request; its row is `{request, answer, seconds}`."""

        def make() -> Data:
            started = time.perf_counter()
            answer = compute()
            seconds = round(time.perf_counter() - started, 4)
            return {"request": request, "answer": answer, "seconds": seconds}

        return self.row(event, entry_key(event, request), make, target=target)["answer"]

    def holds(self, event: str, target: str | None, request: Data) -> bool:
        """Whether a request was answered before."""
        return self.log.get(event, target, entry_key(event, request)) is not None


def entry_key(event: str, request: Mapping[str, Any]) -> str:
    """The id of the answer to a request: the hash of the request and its kind."""
    return request_hash({"kind": event, **request})
