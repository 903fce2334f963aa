"""Hands pieces out to many threads, one by one."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from .piece import Piece


class PieceFeed:
    """Pieces, drawn by many threads."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces, self._lock, self._stopped = iter(pieces), threading.Lock(), False

    def draw(self) -> Piece | None:
        """The next piece; None when there is none, or the feed was stopped."""
        with self._lock:
            return None if self._stopped else next(self._pieces, None)

    def stop(self) -> None:
        """Hand out no more."""
        self._stopped = True
