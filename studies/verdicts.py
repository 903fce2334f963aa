"""From a figure with an interval to a verdict.

A claim is *supported* if its whole interval lies on its side of the control, *refuted* if the whole
interval lies on the other side, and else nothing can be said. So a 95 % interval supports a false
claim in at most one of 40 samples. A study that makes several claims from one sample makes its
intervals at the level `joint_level` gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .result import StudyClaim, Verdict

if TYPE_CHECKING:
    from ..evals.statistics.bootstrap import Interval

ERROR_RATE = 0.05
"""Studies of nothing in which any claim is supported, at most."""


def joint_level(claims: int) -> float:
    """Level of each interval so that all of them hold together at 95 % (Bonferroni)."""
    return 1 - ERROR_RATE / max(1, claims)


def above(claim: str, interval: Interval, control: float, n: int, least: float = 0.0) -> StudyClaim:
    """The claim that a figure exceeds its control, by more than `least` where that is given."""
    return _decided(claim, interval, control, n, bound=control + least, sign=1)


def below(claim: str, interval: Interval, control: float, n: int, least: float = 0.0) -> StudyClaim:
    """The claim that a figure is smaller than its control, by more than `least`."""
    return _decided(claim, interval, control, n, bound=control - least, sign=-1)


def within(claim: str, interval: Interval, control: float, n: int, margin: float) -> StudyClaim:
    """The claim that a figure equals its control to within `margin` (a test of equivalence)."""
    value, low, high = interval
    verdict: Verdict = "cannot say"
    if low is not None and high is not None:
        if control - margin < low and high < control + margin:
            verdict = "supported"
        elif high < control - margin or low > control + margin:
            verdict = "refuted"
    return StudyClaim(claim, verdict, value, low, high, control, n)


def cannot_say(claim: str, n: int, value: float | None = None) -> StudyClaim:
    """A claim that these data cannot decide; the sentence says why."""
    return StudyClaim(claim, "cannot say", value, None, None, None, n)


def _decided(
    claim: str, interval: Interval, control: float, n: int, bound: float, sign: int
) -> StudyClaim:
    value, low, high = interval
    verdict: Verdict = "cannot say"
    if low is not None and high is not None:
        nearest, farthest = (low, high) if sign > 0 else (high, low)
        if sign * (nearest - bound) > 0:
            verdict = "supported"
        elif sign * (farthest - bound) < 0:
            verdict = "refuted"
    return StudyClaim(claim, verdict, value, low, high, control, n)
