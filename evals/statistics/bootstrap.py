"""Intervals by resampling documents: tokens of one document depend on each other, documents do not.
A group of near-duplicates counts as one document (`resampling`).

1. Reduce each document to sums (for r: the six of `correlation`).
2. Draw the documents with replacement, 2,000 times, as multinomial counts.
3. Counts times sums is one matrix product, which gives the statistic of every resample.
4. The ends are percentiles of the draws (Efron & Tibshirani 1993, chapter 13), farther out than the
   2.5th and the 97.5th by Student's t (Hesterberg 2015). Its degrees of freedom are those that the
   documents give: n - 1 if all have about the same influence on the statistic, fewer if a few of
   them decide it, as they do where a unit seldom fires. Influence is what leaving the document out
   changes, and the variance of n values of kurtosis k is known as well as from 2 n / (k - 1).
5. Two predictions are compared on the *same* resamples, so that a document that is hard for both
   cancels out (paired bootstrap).

Why these ends, and how often they cover the truth: docs/design/intervals.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .correlation import document_moments, pearson_from_moments
from .resampling import IntervalMethod
from .sample import Sample

RESAMPLES = 2_000
LEVEL = 0.95
FEWEST_DEGREES = 4
"""With fewer the ends would be among the five most extreme draws, which no two seeds share."""
KEPT_DOCUMENTS = 1_000
"""Draws over more documents are not kept: these have 16 MB."""

Statistic = Callable[[Float[np.ndarray, "resamples k"]], Float[np.ndarray, " resamples"]]


class Interval(NamedTuple):
    """A value with its 95 % interval; no interval for fewer than two documents."""

    value: float
    low: float | None
    high: float | None


def bootstrap_r(sample: Sample, seed: int = 0) -> Interval:
    """Pearson r with its interval over documents."""
    interval = sample.resampling.interval
    return bootstrap(document_moments(sample), pearson_from_moments, seed, interval)


def bootstrap_difference(
    sample: Sample, other: Float[np.ndarray, "contexts seq"], seed: int = 0
) -> Interval:
    """r of the sample's prediction minus r of another one, resampled together."""
    own_sums = document_moments(sample)
    other_sums = document_moments(sample.with_prediction(other))

    def difference(sums: np.ndarray) -> np.ndarray:
        return pearson_from_moments(sums[..., :6]) - pearson_from_moments(sums[..., 6:])

    sums = np.hstack([own_sums, other_sums])
    return bootstrap(sums, difference, seed, sample.resampling.interval)


def bootstrap(
    sums: Float[np.ndarray, "documents k"],
    statistic: Statistic,
    seed: int = 0,
    interval: IntervalMethod = "expanded",
    level: float = LEVEL,
) -> Interval:
    """Interval of any statistic that is a function of sums over documents.

    Args:
        sums: one row per document.
        statistic: from rows of added sums to one number per row; must not return NaN.
        interval: which percentiles of the draws are its ends.
        level: share of samples whose interval holds the truth.
    """
    value = float(statistic(sums.sum(axis=0, keepdims=True))[0])
    if len(sums) < 2:
        return Interval(value, None, None)
    draws = statistic(resample_counts(len(sums), seed) @ sums)
    return ends_of_draws(value, draws, statistic(sums.sum(axis=0) - sums), interval, level)


def ends_of_draws(
    value: float,
    draws: Float[np.ndarray, " resamples"],
    left_out: Float[np.ndarray, " documents"],
    interval: IntervalMethod,
    level: float = LEVEL,
) -> Interval:
    """The interval from a statistic's draws.

    Args:
        left_out: the statistic without each document in turn.
    """
    tail = (1 - level) / 2
    if interval == "expanded":
        tail = _expanded_tail(left_out, level)
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def _expanded_tail(left_out: Float[np.ndarray, " documents"], level: float) -> float:
    """The share of draws to leave out on each side."""
    from scipy.special import ndtr, stdtrit  # scipy.stats would take a second to import

    n = len(left_out)
    squares = (left_out - left_out.mean()) ** 2
    kurtosis = n * float((squares**2).sum()) / float(squares.sum()) ** 2 if squares.any() else 1.0
    degrees = n - 1.0
    if kurtosis > 1:  # 1 is the least possible
        degrees = min(degrees, max(FEWEST_DEGREES, 2 * n / (kurtosis - 1)))
    # The draws' own spread is sqrt((n - 1) / n) times the unbiased one.
    return float(ndtr(-np.sqrt(n / (n - 1)) * stdtrit(degrees, (1 + level) / 2)))


def resample_counts(
    documents: int, seed: int, resamples: int = RESAMPLES
) -> Float[np.ndarray, "resamples documents"]:
    """How often each document is in each resample; every row adds up to the number of documents.

    The scores of one target share their draws, which cost more than all the rest of an interval.
    """
    draw = _draw_counts if documents > KEPT_DOCUMENTS else _kept_counts
    return draw(documents, seed, resamples)


def _draw_counts(
    documents: int, seed: int, resamples: int
) -> Float[np.ndarray, "resamples documents"]:
    # n documents drawn with replacement: their counts are multinomial
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(documents, np.full(documents, 1 / documents), size=resamples)
    counts = counts.astype(np.float64)
    counts.flags.writeable = False  # the next caller gets the same array
    return counts


_kept_counts = lru_cache(maxsize=8)(_draw_counts)  # as many as targets are scored side by side
