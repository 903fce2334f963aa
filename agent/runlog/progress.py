"""Progress on standard error: a bar on a terminal, elsewhere a line every few seconds.

The time left comes from `pace.Pace`, whichever way it is shown.

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
from typing import Any, NamedTuple, Protocol, TextIO

from ...tools.files.untrusted_text import escape_control, printable
from .pace import Pace

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


class StepProgress(NamedTuple):
    """How far a step is.

    Attributes:
        total: None if it is not known.
        unit: what is counted, such as "tokens".
        at_once: how many are worked on side by side, so that they end in bunches.
    """

    step: str
    done: float
    total: float | None
    unit: str = ""
    note: str = ""
    at_once: int = 1

    @property
    def is_complete(self) -> bool:
        """Whether all of a known total is done."""
        return self.total is not None and self.done >= self.total


class Reporter:
    """A progress callback. This one shows nothing; those below are for a terminal and a log file."""

    def __call__(self, report: ProgressReport) -> None:
        """Show a report object of `tools` (an index's, a collect pass's)."""
        unit, note = getattr(report, "unit", ""), getattr(report, "note", "")
        self.update(report.step, report.done, report.total, unit=unit, note=note)

    def update(
        self,
        step: str,
        done: float,
        total: float | None,
        *,
        unit: str = "",
        note: str = "",
        at_once: int = 1,
    ) -> None:
        """Say how far `step` is, as `StepProgress` has it; its first report starts its clock."""
        self.show(StepProgress(step, done, total, unit, note, at_once))

    def show(self, current: StepProgress) -> None:
        """Show how far a step is."""

    def say(self, text: str) -> None:
        """One line that stays."""


@dataclass
class _Step:
    pace: Pace
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

    def show(self, current: StepProgress) -> None:
        now = self.clock()
        with self._lock:
            state, complete = self._steps.get(current.step), current.is_complete
            first = state is None or (state.finished and not complete)
            if state is None or first:
                state = _Step(Pace(now, current.done, current.at_once), now)
                self._steps[current.step] = state
            state.pace.add(now, current.done)
            if state.finished or not (first or complete or now - state.shown >= self.every):
                return
            state.shown, state.finished = now, complete
            left = state.pace.seconds_left(now, current.total)
            self._write(progress_line(current, state.pace.units_per_second(), left))

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
        from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
        from rich.text import Text

        class TimeColumn(ProgressColumn):
            """The time left, which goes down between two reports, and at the end the time taken."""

            def render(self, task: Task) -> Text:
                time = time_of(task.fields["pace"], task.total, task.finished_time)
                return Text(time, style="progress.remaining")

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[counted]}", markup=False),
            TimeColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        self.bars = Progress(*columns, console=Console(file=stream, highlight=False))
        self._tasks: dict[str, Any] = {}
        self._paces: dict[str, Pace] = {}
        self._lock = threading.Lock()

    def show(self, current: StepProgress) -> None:
        now = time.monotonic()
        with self._lock:
            step, total = current.step, current.total
            if step not in self._tasks:
                pace = self._paces[step] = Pace(now, current.done, current.at_once)
                self._tasks[step] = self.bars.add_task(
                    escape_control(step), total=total, counted="", note="", pace=pace
                )
            pace = self._paces[step]
            pace.add(now, current.done)
            self.bars.update(
                self._tasks[step],
                completed=current.done,
                total=total,
                counted=counted(current, pace.units_per_second()),
                note=escape_control(current.note),
            )

    def say(self, text: str) -> None:
        self.bars.console.print(printable(text), markup=False)


def time_of(pace: Pace, total: float | None, finished_after: float | None) -> str:
    """The time on a bar: ``1:32 left``, at the end ``took 2:10``, and nothing before it is known."""
    if finished_after is not None:
        return f"took {duration(finished_after)}"
    left = pace.seconds_left(time.monotonic(), total)
    return "" if left is None else f"{duration(left)} left"


def progress_line(current: StepProgress, speed: float | None, left: float | None = None) -> str:
    """A plain progress line: ``index: 1,024/60,000 tokens, 640/s, 1:32 left, forward 96 %``."""
    parts = [f"{escape_control(current.step)}: {counted(current, speed)}"]
    if left is not None and not current.is_complete:
        parts.append(f"{duration(left)} left")
    if current.note:
        parts.append(escape_control(current.note))
    return ", ".join(parts)


def counted(current: StepProgress, speed: float | None) -> str:
    """``1,024/60,000 tokens, 640/s``."""
    of_total = "" if current.total is None else f"/{current.total:,.0f}"
    unit = f" {current.unit}" if current.unit else ""
    count = f"{current.done:,.0f}{of_total}{unit}"
    return count if speed is None else f"{count}, {speed:,.{0 if speed >= 10 else 1}f}/s"


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
