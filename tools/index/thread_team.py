"""Threads that share one batch's work; numpy lets go of the interpreter while it works."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

Blocks = Callable[[Callable[[slice], None], int, int], None]
"""Calls a function on slices that make up range(n), perhaps at the same time; the last number is their least length."""
Item = TypeVar("Item")


@dataclass
class ThreadTeam:
    """So many threads, the calling one among them."""

    size: int
    _pool: ThreadPoolExecutor | None = field(default=None, init=False)

    def __enter__(self) -> ThreadTeam:
        self._pool = ThreadPoolExecutor(self.size - 1) if self.size > 1 else None
        return self

    def __exit__(self, *_error: object) -> None:
        if self._pool:
            self._pool.shutdown()

    def blocks(self, work: Callable[[slice], None], n: int, least: int) -> None:
        """Call `work` on slices of range(n), each of `least` items or more, four for each thread."""
        size = max(n, 1) if self._pool is None else max(least, -(-n // (4 * self.size)))
        self.map(work, [slice(start, min(start + size, n)) for start in range(0, n, size)])

    def map(self, work: Callable[[Item], object], items: Sequence[Item]) -> None:
        """Call `work` on each item. A thread takes the next one when it is free.

        Equal shares would be slower: between two of the model's operations its own threads spin for
        a while, and one of ours then has half a core.
        """
        left = deque(items)

        def drain() -> None:
            while True:
                try:
                    item = left.popleft()
                except IndexError:
                    return
                work(item)

        waiting = (
            [self._pool.submit(drain) for _ in range(min(self.size, len(left)) - 1)]
            if self._pool
            else []
        )
        drain()
        for future in waiting:
            future.result()
