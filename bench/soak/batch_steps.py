"""A process that kills itself with SIGKILL at a step of its batches.

A step is an event of a batch or of its requests, before it is written and after; and a call of the
batch API, before it is sent and after it was answered.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

from ...agent.llm.batches import batched_judge
from ...agent.runlog.events import LLM_BATCH, LLM_BATCH_STATE, LLM_CALL, LLM_REQUEST
from ...agent.runlog.log import Data, RunLog

EVENTS = (LLM_BATCH, LLM_BATCH_STATE, LLM_REQUEST, LLM_CALL)
CALLS = ("upload", "create", "find", "status", "results")


def die_at(step: int) -> None:
    """Make this process kill itself at a step of its batches."""
    steps = _count_to(step)
    write, connect = RunLog.write, batched_judge.connect_batches

    def mortal_write(self: RunLog, event: str, data: Data, **name: Any) -> None:
        if event in EVENTS:
            next(steps)
        write(self, event, data, **name)
        if event in EVENTS:
            next(steps)

    RunLog.write = mortal_write
    batched_judge.connect_batches = lambda config: _Mortal(connect(config), steps)  # pyright: ignore[reportAttributeAccessIssue]


def _count_to(last: int) -> Iterator[int]:
    yield from range(1, last)
    os.kill(os.getpid(), signal.SIGKILL)


class _Mortal:
    """A batch service each of whose calls is two steps."""

    def __init__(self, service: Any, steps: Iterator[int]) -> None:
        self._service, self._steps = service, steps

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._service, name)
        return self._counted(value) if name in CALLS else value

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            next(self._steps)
            answer = call(*arguments)
            next(self._steps)
            return answer

        return counted
