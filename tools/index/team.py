"""Threads that share one batch's work; numpy lets go of the interpreter while it works."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

Blocks = Callable[[Callable[[slice], None], int], None]
"""Calls a function on slices that make up range(n), perhaps at the same time."""
Item = TypeVar("Item")


@dataclass
class Team:
    """So many threads, the calling one among them."""

    size: int
    _pool: ThreadPoolExecutor | None = field(default=None, init=False)

    def __enter__(self) -> Team:
        self._pool = ThreadPoolExecutor(self.size - 1) if self.size > 1 else None
        return self

    def __exit__(self, *_error: object) -> None:
        if self._pool:
            self._pool.shutdown()

    def blocks(self, work: Callable[[slice], None], n: int) -> None:
        """Call `work` on a slice of range(n) in each thread."""
        size = self.size if n >= 4 * self.size else 1
        bounds = [n * at // size for at in range(size + 1)]
        slices = [slice(start, stop) for start, stop in pairwise(bounds)]
        waiting = [self._pool.submit(work, block) for block in slices[1:]] if self._pool else []
        work(slices[0])
        for future in waiting:
            future.result()

    def map(self, work: Callable[[Item], None], items: Sequence[Item]) -> None:
        """Call `work` on each item, a thread taking the next one when it is free."""
        if self._pool is None:
            for item in items:
                work(item)
        else:
            list(self._pool.map(work, items))
