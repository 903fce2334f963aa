"""How fast a step goes, and how long it will still take, from the reports of its progress.

1. A report is a time and how much is done. Where several units are worked on side by side they end in
   bunches, so only whole rounds of so many units are kept as *marks*.
2. The first mark after the start is left out as soon as there is a second one: a step's first unit
   often loads or compiles something that the others find there.
3. Of many marks the later half counts, so that the pace follows a machine that became slower.
4. The end is where the last mark and the pace put it. The time left goes down until the next mark.

Units of unequal cost are right on average, if their order has nothing to do with their cost; a caller
who knows the cost counts in that (tokens, not contexts).
"""

from __future__ import annotations

from typing import NamedTuple

MANY = 80
"""Marks from which on only the later half counts: the mean of 40 units is right within a quarter even
if their costs vary by as much as their mean."""
MOST = 512
"""Marks that are kept; then every second one is dropped."""


class Mark(NamedTuple):
    """How much was done at a time, in seconds of a clock."""

    time: float
    done: float


class Pace:
    """Speed and time left of one step.

    Args:
        now: time of the first report.
        done: done by then; a resumed step does not begin at 0.
        at_once: units that are worked on side by side.
    """

    def __init__(self, now: float, done: float, at_once: int = 1) -> None:
        self._marks = [Mark(now, done)]
        self._round = max(1, at_once)

    def add(self, now: float, done: float) -> None:
        """Take a report."""
        last = self._marks[-1]
        if done < last.done:  # it began again
            self._marks = [Mark(now, done)]
        elif done >= last.done + self._round:
            self._marks.append(Mark(now, done))
            if len(self._marks) > MOST:
                self._marks = self._marks[:2] + self._marks[2::2]

    def units_per_second(self) -> float | None:
        """The pace; None before the first mark after the start."""
        marks, last = self._marks, self._marks[-1]
        if len(marks) < 2:
            return None
        first = marks[1] if len(marks) > 2 else marks[0]
        if len(marks) > MANY:
            first = marks[len(marks) // 2]
        seconds = last.time - first.time
        return (last.done - first.done) / seconds if seconds > 0 else None

    def seconds_left(self, now: float, total: float | None) -> float | None:
        """Seconds from now to the end, not below 0; None while nobody can know."""
        speed, last = self.units_per_second(), self._marks[-1]
        if total is None or speed is None:
            return None
        return max(0.0, last.time + (total - last.done) / speed - now)
