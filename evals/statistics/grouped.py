"""Means and shares of observations that come in groups, with intervals at any level.

1. Observations of one group (of one document, template or name) depend on each other. Groups are
   resampled, never observations; without groups each observation is one.
2. A mean is a ratio of two sums over groups, so that large groups count for more, as they do in the
   mean itself.
3. Where all groups agree, as in a share of 0 or of 1, resamples have no spread although the truth
   may differ. Wilson's interval, with as many trials as there are groups, then says how many other
   groups may disagree, and the bounds of a value how much they could change the mean.
4. In a small slice a share is near 0 or 1 by luck, and resamples then have too little spread. The
   difference of two shares has Newcombe's interval (Statistics in Medicine 1998, method 10), with
   each count of rows divided by the design effect: how much larger the variance of a share is for
   rows that depend on each other (Kish 1965).
5. Several intervals that must all hold need a higher level each (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from ...tools.errors import UsageError
from .bootstrap import LEVEL, Interval, bootstrap
from .fdr import Rate, wilson

LEAST_GROUPS = 8
"""With fewer, percentiles of resamples miss the truth far more often than the level says."""


def mean_over_groups(
    values: Sequence[float] | Float[np.ndarray, " rows"],
    groups: Sequence[object] | None = None,
    *,
    level: float = LEVEL,
    seed: int = 0,
    bounds: tuple[float, float] | None = None,
) -> Interval:
    """Mean with its interval; no ends for fewer than `LEAST_GROUPS` groups.

    Args:
        bounds: the smallest and largest value there can be, such as -1 and 1 for the difference of
            two shares; used where all values are equal. Without them only values that are all 0 or
            all 1 are taken for a share.

    Raises:
        UsageError: no value, a value that is not finite, or not one group for each.
    """
    rows, group = _checked(values, groups)
    sums = _sums(group, rows, np.ones(len(rows)))
    if len(sums) < LEAST_GROUPS:
        return Interval(float(rows.mean()), None, None)
    if bounds is None and rows[0] in (0.0, 1.0):
        bounds = 0.0, 1.0
    if np.ptp(rows) == 0 and bounds is not None:
        return _unanimous(float(rows[0]), bounds, len(sums), level)
    return bootstrap(sums, lambda total: total[..., 0] / total[..., 1], seed, level=level)


def difference_over_groups(
    values: Sequence[float] | Float[np.ndarray, " rows"],
    member: Sequence[bool] | Bool[np.ndarray, " rows"],
    groups: Sequence[object] | None = None,
    *,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """Mean of the members less the mean of the others; no ends where either has too few groups.

    Raises:
        UsageError: as `mean_over_groups`, or all rows or none are members.
    """
    rows, group = _checked(values, groups)
    inside = _checked_members(member, rows)
    sums = _sums(group, rows * inside, inside * 1.0, rows * ~inside, ~inside * 1.0)

    def difference(total: np.ndarray) -> np.ndarray:
        # a resample without a member says nothing: it is given the mean of all
        mean = (total[..., 0] + total[..., 2]) / (total[..., 1] + total[..., 3])
        own, other = (
            np.where(total[..., n] > 0, total[..., s] / np.maximum(total[..., n], 1e-12), mean)
            for s, n in ((0, 1), (2, 3))
        )
        return own - other

    fewest = min(int((sums[:, column] > 0).sum()) for column in (1, 3))
    if fewest < LEAST_GROUPS:
        return Interval(float(difference(sums.sum(axis=0))), None, None)
    return bootstrap(sums, difference, seed, level=level)


def difference_of_shares(
    hits: Sequence[float] | Float[np.ndarray, " rows"],
    member: Sequence[bool] | Bool[np.ndarray, " rows"],
    groups: Sequence[object] | None = None,
    *,
    level: float = LEVEL,
) -> Interval:
    """Share of hits (0 or 1) among the members less that among the others, also of small slices.

    Raises:
        UsageError: as `difference_over_groups`.
    """
    rows, group = _checked(hits, groups)
    inside = _checked_members(member, rows)
    shares: list[float] = []
    errors: list[tuple[float, float]] = []
    fewest = len(rows)
    effect = design_effect(rows, group, inside)
    for side in (inside, ~inside):
        n, share = int(side.sum()), float(rows[side].mean())
        fewest = min(fewest, len(np.unique(group[side])))
        _, low, high = _share(share, n / effect, level)
        shares.append(share)
        errors.append((share - low, high - share))
    difference = shares[0] - shares[1]
    if fewest < LEAST_GROUPS:
        return Interval(difference, None, None)
    (own_below, own_above), (other_below, other_above) = errors
    low = difference - float(np.hypot(own_below, other_above))
    return Interval(difference, low, difference + float(np.hypot(own_above, other_below)))


def design_effect(
    hits: Float[np.ndarray, " rows"],
    group: Int[np.ndarray, " rows"],
    member: Bool[np.ndarray, " rows"],
) -> float:
    """Variance of shares over groups to that of as many independent rows; 1 at least."""
    observed = independent = 0.0
    for side in (member, ~member):
        residuals = hits[side] - hits[side].mean()
        by_group = np.bincount(np.unique(group[side], return_inverse=True)[1], residuals)
        observed += _unbiased(by_group)
        independent += _unbiased(residuals)
    return max(1.0, observed / independent) if independent else len(group) / len(np.unique(group))


def count_groups(groups: Sequence[object] | None, rows: int) -> int:
    """How many independent groups there are; each row is one if there are none."""
    return rows if groups is None else len(set(groups))


def _checked(
    values: Sequence[float] | Float[np.ndarray, " rows"], groups: Sequence[object] | None
) -> tuple[Float[np.ndarray, " rows"], np.ndarray]:
    rows = np.asarray(values, dtype=np.float64)
    if not len(rows) or not np.isfinite(rows).all():
        raise UsageError(
            f"{len(rows)} values given, {int((~np.isfinite(rows)).sum())} of them not finite; "
            "a mean needs finite values"
        )
    if groups is None:
        return rows, np.arange(len(rows))
    if len(groups) != len(rows):
        raise UsageError(f"{len(rows)} values and {len(groups)} groups given; one for each")
    names = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    return rows, np.array([names[name] for name in groups])


def _checked_members(
    member: Sequence[bool] | Bool[np.ndarray, " rows"], rows: np.ndarray
) -> Bool[np.ndarray, " rows"]:
    inside = np.asarray(member, dtype=bool)
    if len(inside) != len(rows) or inside.all() or not inside.any():
        raise UsageError(
            f"{int(inside.sum())} members among {len(rows)} values given; a difference needs "
            "members and others"
        )
    return inside


def _sums(group: np.ndarray, *columns: np.ndarray) -> Float[np.ndarray, "groups column"]:
    count = int(group.max()) + 1
    return np.stack([np.bincount(group, column, count) for column in columns], axis=1)


def _unanimous(value: float, bounds: tuple[float, float], groups: int, level: float) -> Interval:
    agree = _share(1.0, groups, level).low
    low, high = (value + (1 - agree) * (bound - value) for bound in bounds)
    return Interval(value, low, high)


def _unbiased(residuals: Float[np.ndarray, " n"]) -> float:
    """Sum of squares, with what their common mean has taken from it."""
    return float((residuals**2).sum()) * len(residuals) / max(1, len(residuals) - 1)


def _share(share: float, trials: float, level: float) -> Rate:
    from scipy.special import ndtri  # scipy.stats would take a second to import

    return wilson(share * trials, trials, float(ndtri((1 + level) / 2)))
