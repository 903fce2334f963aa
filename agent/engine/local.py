"""The default engine: pieces one after another, in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from ...tools.errors import HubelError
from .piece import Piece, PieceOutcome, SmallCall
from .worker import Worker


class LocalEngine:
    """Does everything in this process; calls of several threads take turns."""

    workers = 1
    note = ""

    def __init__(self, worker: Worker | None = None) -> None:
        self._worker = worker or Worker()
        self._turn = threading.Lock()

    def run(self, pieces: Iterable[Piece]) -> Iterator[PieceOutcome]:
        """As `Engine.run`."""
        for piece in pieces:
            if piece.output.exists():
                yield PieceOutcome(piece)
                continue
            started, error = time.monotonic(), ""
            with self._turn:
                try:
                    piece.run(self._worker)
                except HubelError as failure:
                    error = str(failure)
            yield PieceOutcome(piece, error, time.monotonic() - started, self._worker.where)

    def call(self, request: SmallCall) -> Any:
        """As `Engine.call`."""
        with self._turn:
            return request.run(self._worker)

    def close(self) -> None:
        """Nothing to end."""
