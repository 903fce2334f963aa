"""From a figure with an interval to a verdict.

A claim is *supported* if its whole interval lies on its side of the control, *refuted* if the whole
interval lies on the other side, and else nothing can be said. So a 95 % interval supports a false
claim in at most one of 40 samples. A study that makes several claims from one sample makes its
intervals at the level `joint_level` gives.

Where the control was measured on the same observations, their difference is what is resampled. Then
the difference is the claim's figure and 0 its control; both means are in the sentence. (The control
added to both ends would pass for an interval of the mean, and a share's could end above 1.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..evals.statistics.grouped import LEAST_GROUPS, count_groups, mean_over_groups
from .result import StudyClaim, Verdict

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

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


def paired(
    claim: str,
    values: Float[ndarray, " rows"],
    control: Float[ndarray, " rows"],
    groups: Sequence[object] | None = None,
    *,
    level: float,
    seed: int = 0,
    decide: Callable[[str, Interval, float, int], StudyClaim] = above,
    bounds: tuple[float, float] = (-1.0, 1.0),
) -> StudyClaim:
    """The claim that shares, or other values, exceed a control on the same rows.

    Args:
        decide: `below` for the claim that they are smaller.
        bounds: the smallest and largest difference there can be; by default that of two shares.
    """
    n = count_groups(groups, len(values))
    difference = mean_over_groups(values - control, groups, level=level, seed=seed, bounds=bounds)
    if n < LEAST_GROUPS:
        why = f"{claim}: {n} groups, and an interval needs {LEAST_GROUPS}"
        return cannot_say(why, n, difference.value)
    return decide(with_means(claim, values.mean(), control.mean()), difference, 0.0, n)


def with_means(claim: str, mean: float, control: float) -> str:
    """The sentence of a claim on a difference, with the two means."""
    return f"{claim} ({mean:.3g} and {control:.3g})"


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
