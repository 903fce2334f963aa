"""A few threads that compute answers, so that neither a slow answer nor a crowd holds up the others.

1. Equal questions that wait are answered together: one more request for the list of runs, while a
   hundred others wait for it, adds no work. The answer is always computed after the question.
2. Of the others, the next is that of the connection that has had the least time lately. So a person
   who opens the page need not wait for everything that a busy program has asked before.

The threads are daemons: an answer that never comes must not keep the server from ending.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
HALF_LIFE_S = 5.0
"""Time after which half of what a connection has had is forgotten."""
AT_ONCE = 20
"""Clients that are answered before the server looks at others: about 10 ms."""
MAX_REMEMBERED = 10_000
"""Connections whose time is remembered."""


@dataclass
class _Job(Generic[T]):
    compute: Callable[[], T]
    asker: Hashable
    loop: asyncio.AbstractEventLoop
    waiting: list[asyncio.Future[T]] = field(default_factory=list)

    def run(self) -> None:
        """Compute, and hand the value or the error to all who wait."""
        try:
            value = self.compute()
        except Exception as error:  # noqa: BLE001 - raised again where the answer is awaited
            self._deliver(asyncio.Future.set_exception, error)
        else:
            self._deliver(asyncio.Future.set_result, value)

    def _deliver(self, settle: Callable[..., None], outcome: object) -> None:
        def deliver() -> None:
            for future in self.waiting[:AT_ONCE]:
                if not future.done():  # its client may have gone
                    settle(future, outcome)
            del self.waiting[:AT_ONCE]
            if self.waiting:  # others come in between
                self.loop.call_soon(deliver)

        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(deliver)


class AnswerThreads:
    """Computes answers in at most `count` threads, which are started when they are needed."""

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._changed = threading.Condition()
        self._jobs: dict[Hashable, _Job] = {}
        """By question; those that no thread has begun."""
        self._idle = self._started = 0
        self._used: dict[Hashable, tuple[float, float]] = {}
        """Connection to seconds that its answers took, and when that was counted."""

    async def answer(self, question: Hashable, asker: Hashable, compute: Callable[[], T]) -> T:
        """The value of `compute()`, or that of an equal question that waits; raises what it raises.

        Args:
            question: equal for questions that have the same answer.
            asker: who asks, as far as the server can tell them apart.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._changed:
            job = self._jobs.get(question)
            if job is None:
                job = self._jobs[question] = _Job(compute, asker, loop)
                self._wake_thread()
            job.waiting.append(future)
        return await future

    def _wake_thread(self) -> None:
        if len(self._jobs) > self._idle and self._started < self._count:
            self._started += 1
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                while not self._jobs:
                    self._changed.wait()
                self._idle -= 1
                question = min(self._jobs, key=lambda each: self._used_by(self._jobs[each].asker))
                job = self._jobs.pop(question)
            started = time.monotonic()
            job.run()
            self._note(job.asker, time.monotonic() - started)

    def _used_by(self, asker: Hashable) -> float:
        seconds, counted = self._used.get(asker, (0.0, 0.0))
        return seconds * math.exp2((counted - time.monotonic()) / HALF_LIFE_S)

    def _note(self, asker: Hashable, seconds: float) -> None:
        with self._changed:
            used = self._used_by(asker) + seconds
            self._used.pop(asker, None)  # so that the order is that of the last use
            self._used[asker] = used, time.monotonic()
            if len(self._used) > MAX_REMEMBERED:
                self._used.pop(next(iter(self._used)))
