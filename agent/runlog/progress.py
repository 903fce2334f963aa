"""Progress on standard error: a bar on a terminal, elsewhere a line every few seconds.

with progress(quiet=args.quiet) as report:
    build_index(..., progress=report)   # reports anything with .step .done .total (and .unit, .note)
    report.update("explain", done=3, total=24, unit="targets", note="2 failed")
    report.say("one line above the bar")
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from ...tools.files.untrusted_text import escape_control, printable

EVERY_S = 5.0
"""Seconds between two plain lines of one step: often enough to see life, rare enough for a CI log."""


class ProgressReport(Protocol):
    """What long work passes to its progress callback; `unit` and `note` may be missing."""

    @property
    def step(self) -> str: ...
    @property
    def done(self) -> float: ...
    @property
    def total(self) -> float | None: ...


class Reporter:
    """A progress callback. This one shows nothing; those below are for a terminal and a log file."""

    def __call__(self, report: ProgressReport) -> None:
        """Show a report object of `tools` (an index's, a collect pass's)."""
        unit, note = getattr(report, "unit", ""), getattr(report, "note", "")
        self.update(report.step, report.done, report.total, unit=unit, note=note)

    def update(
        self, step: str, done: float, total: float | None, *, unit: str = "", note: str = ""
    ) -> None:
        """Say how far `step` is; the first report of a step starts its clock."""

    def say(self, text: str) -> None:
        """One line that stays."""


@dataclass
class _Step:
    started: float
    """Clock and count at the step's first report; a resumed step does not begin at 0."""
    began_at: float
    shown: float
    finished: bool = False


class LineReporter(Reporter):
    """Plain lines: the first report of a step, one every few seconds, and its last."""

    def __init__(
        self, stream: TextIO, *, every: float = EVERY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.stream, self.every, self.clock = stream, every, clock
        self._steps: dict[str, _Step] = {}
        self._lock = threading.Lock()

    def update(
        self, step: str, done: float, total: float | None, *, unit: str = "", note: str = ""
    ) -> None:
        now = self.clock()
        with self._lock:
            state = self._steps.get(step)
            first = state is None or (state.finished and (total is None or done < total))
            if state is None or first:
                state = self._steps[step] = _Step(now, done, now)
            complete = total is not None and done >= total
            if state.finished or not (first or complete or now - state.shown >= self.every):
                return
            state.shown, state.finished = now, complete
            self._write(
                progress_line(
                    step, done, total, unit, note, rate(state.began_at, done, now - state.started)
                )
            )

    def say(self, text: str) -> None:
        with self._lock:
            self._write(printable(text))

    def _write(self, text: str) -> None:
        self.stream.write(text + "\n")
        self.stream.flush()


class BarReporter(Reporter):
    """One bar per step with rate and time left, on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[counted]}", markup=False),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[note]}", markup=False),
        )
        self.bars = Progress(*columns, console=Console(file=stream, highlight=False))
        self._tasks: dict[str, Any] = {}
        self._began: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def update(
        self, step: str, done: float, total: float | None, *, unit: str = "", note: str = ""
    ) -> None:
        now = time.monotonic()
        with self._lock:
            if step not in self._tasks:
                self._tasks[step] = self.bars.add_task(
                    escape_control(step), total=total, counted="", note=""
                )
                self._began[step] = (now, done)
            start, began_at = self._began[step]
            speed = rate(began_at, done, now - start)
            self.bars.update(
                self._tasks[step],
                completed=done,
                total=total,
                counted=counted(done, total, unit, speed),
                note=escape_control(note),
            )

    def say(self, text: str) -> None:
        self.bars.console.print(printable(text), markup=False)


def rate(began_at: float, done: float, seconds: float) -> float | None:
    """Items per second since the step's first report; None as long as there are none."""
    return (done - began_at) / seconds if seconds > 0 and done > began_at else None


def progress_line(
    step: str, done: float, total: float | None, unit: str, note: str, speed: float | None
) -> str:
    """A plain progress line: ``index: 1,024/60,000 tokens, 640/s, 1:32 left, forward 96 %``."""
    parts = [f"{escape_control(step)}: {counted(done, total, unit, speed)}"]
    if speed and total is not None and done < total:
        parts.append(f"{duration((total - done) / speed)} left")
    return ", ".join([*parts, *([escape_control(note)] if note else [])])


def counted(done: float, total: float | None, unit: str, speed: float | None) -> str:
    """``1,024/60,000 tokens, 640/s``."""
    counted = (
        f"{done:,.0f}" + ("" if total is None else f"/{total:,.0f}") + (f" {unit}" if unit else "")
    )
    return counted if speed is None else f"{counted}, {speed:,.{0 if speed >= 10 else 1}f}/s"


def duration(seconds: float) -> str:
    """``0:07``, ``12:40``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def progress(*, quiet: bool = False, stream: TextIO | None = None) -> Iterator[Reporter]:
    """The reporter that suits where standard error goes."""
    to: TextIO = sys.stderr if stream is None else stream
    if quiet:
        yield Reporter()
    elif to.isatty():
        reporter = BarReporter(to)
        with reporter.bars:
            yield reporter
    else:
        yield LineReporter(to)
