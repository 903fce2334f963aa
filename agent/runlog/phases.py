"""Where the time of a run goes: the seconds of its phases, and of the steps of its investigations.

A run is in one phase at a time. A phase that begins within another one stops the other's clock, so
that the phases add up to the whole. The steps of the investigations are counted separately: many
run side by side, so their wall seconds add up to more than the phase `explain` has.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .log import RunLog

EVENT = "timing"
"""One event for each time that the run was executed; it is a record, and no result depends on it."""
OTHER = "other"


@dataclass
class _Spent:
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class RunClock:
    """Adds up the seconds of phases (one thread) and of steps (many threads)."""

    def __init__(self) -> None:
        self._before = time.process_time()
        """CPU seconds that the process had used before the run: the start of Python, and imports."""
        self._phases: dict[str, _Spent] = {}
        self._steps: dict[str, _Spent] = {}
        self._lock = threading.Lock()
        self._phase = OTHER
        self._since = time.monotonic(), time.process_time()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the block as this phase. For the thread that executes the run only."""
        outer = self._enter(name)
        try:
            yield
        finally:
            self._enter(outer)

    def _enter(self, name: str) -> str:
        """Change to another phase; returns the one until now."""
        wall, cpu = time.monotonic(), time.process_time()
        spent = self._phases.setdefault(self._phase, _Spent())
        spent.seconds += wall - self._since[0]
        spent.cpu_seconds += cpu - self._since[1]
        self._since = wall, cpu
        self._phase, left = name, self._phase
        return left

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Count the block as this step of an investigation, with the CPU time of its own thread only."""
        wall, cpu = time.monotonic(), time.thread_time()
        try:
            yield
        finally:
            with self._lock:
                spent = self._steps.setdefault(name, _Spent())
                spent.seconds += time.monotonic() - wall
                spent.cpu_seconds += time.thread_time() - cpu

    def take_steps(self) -> dict[str, tuple[float, float]]:
        """Step to its seconds and CPU seconds, which are forgotten: for another process's clock."""
        with self._lock:
            steps, self._steps = self._steps, {}
        return {name: (spent.seconds, spent.cpu_seconds) for name, spent in steps.items()}

    def add_steps(self, steps: Mapping[str, Sequence[float]]) -> None:
        """Add what another process's clock counted."""
        with self._lock:
            for name, (seconds, cpu_seconds) in steps.items():
                spent = self._steps.setdefault(name, _Spent())
                spent.seconds += seconds
                spent.cpu_seconds += cpu_seconds

    def summary(self) -> dict[str, Any]:
        """The event: phases and steps in the order in which they began."""
        self._enter(self._phase)
        # what belongs to no phase comes last
        phases = sorted(self._phases.items(), key=lambda item: item[0] == OTHER)
        with self._lock:
            steps = list(self._steps.items())
        return {
            "cpu_seconds_before": round(self._before, 3),
            "phases": [_to_json(name, spent) for name, spent in phases],
            "steps": [_to_json(name, spent) for name, spent in steps],
        }

    @contextmanager
    def recorded(self, log: RunLog) -> Iterator[None]:
        """Write the event when the block ends, also if it is interrupted."""
        try:
            yield
        finally:
            log.write(EVENT, self.summary(), id=str(len(log.all(EVENT)) + 1))


def _to_json(name: str, spent: _Spent) -> dict[str, Any]:
    return {
        "name": name,
        "seconds": round(spent.seconds, 3),
        "cpu_seconds": round(spent.cpu_seconds, 3),
    }
