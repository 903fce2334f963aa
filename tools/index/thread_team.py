"""Threads that share one batch's work; numpy releases the interpreter lock while it works."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Blocks = Callable[[Callable[[slice], None], int, int], None]
"""`ThreadTeam.blocks`."""
Item = TypeVar("Item")


class ThreadTeam:
    """`size` threads, the calling one included."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> ThreadTeam:
        self._pool = ThreadPoolExecutor(self.size - 1) if self.size > 1 else None
        return self

    def __exit__(self, *_error: object) -> None:
        if self._pool:
            self._pool.shutdown()

    def blocks(self, work: Callable[[slice], None], n: int, minimum: int) -> None:
        """Call `work` on slices of range(n) of `minimum` items or more, four for each thread."""
        size = max(n, 1) if self._pool is None else max(minimum, -(-n // (4 * self.size)))
        self.map(work, [slice(start, min(start + size, n)) for start in range(0, n, size)])

    def map(self, work: Callable[[Item], object], items: Sequence[Item]) -> None:
        """Call `work` on each item; a thread takes the next one when it is free.

        Equal shares would be slower: between two of the model's operations torch's threads spin for
        a while, and one of ours then has half a core.
        """
        remaining = deque(items)

        def drain() -> None:
            while True:
                try:
                    item = remaining.popleft()
                except IndexError:
                    return
                work(item)

        helpers = min(self.size, len(remaining)) - 1 if self._pool else 0
        futures = [self._pool.submit(drain) for _ in range(helpers)] if self._pool else []
        drain()
        for future in futures:
            future.result()
