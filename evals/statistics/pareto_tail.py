"""A p-value below what the number of draws can show, from the shape of the draws' upper tail.

Knijnenburg, Wessels, Reinders & Shmulevich 2009, "Fewer permutations, more accurate P-values":

1. Take the 250 largest draws; the threshold is half-way between the 250th and the 251st.
2. Fit a generalised Pareto distribution to their excesses over it, by maximum likelihood.
3. p = share of draws above the threshold, times the fitted probability of an excess as large as the
   observed.

Two departures, both conservative. The shape is at least 0: a negative one has an end point beyond
which the fit claims p = 0, from 250 draws; at 0 the tail is exponential, which is heavier than the
nearly Gaussian tail of a permuted r. So there is no search for a number of exceedances that passes
a goodness-of-fit test: a tail lighter than the fit only makes p too large.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

EXCEEDANCES = 250
_LOG_THETA = (-9.0, 9.0)
"""Range of shape / scale, in units of 1 / mean excess: from almost exponential to a shape of 9."""
_SMALLEST = float(np.finfo(np.float64).tiny)


class Pareto(NamedTuple):
    """Generalised Pareto distribution from 0: P(Z > z) = (1 + shape z / scale)^(-1 / shape)."""

    shape: float
    scale: float

    def survival(self, z: float) -> float:
        """P(Z > z) for z >= 0."""
        if self.shape == 0.0:
            return float(np.exp(-z / self.scale))
        return float(np.exp(-np.log1p(self.shape * z / self.scale) / self.shape))


def tail_probability(draws: Float[np.ndarray, " draws"], observed: float) -> float:
    """P(a draw >= observed) from the fitted tail; 1 if the draws have no tail (all the same).

    At least the smallest normal float, so that p is never 0.
    """
    count = min(EXCEEDANCES, len(draws) // 4)  # a quarter of few draws is still a tail
    if count < 10:
        return 1.0
    largest = np.sort(draws)[-count - 1 :]
    threshold = (largest[0] + largest[1]) / 2
    excess = largest[1:] - threshold
    if excess.mean() <= 0 or observed <= threshold:
        return 1.0
    p = count / len(draws) * fit_pareto(excess).survival(observed - threshold)
    return max(p, _SMALLEST)


def fit_pareto(excess: Float[np.ndarray, " n"]) -> Pareto:
    """Maximum likelihood over shapes >= 0.

    With theta = shape / scale the likelihood is maximal at shape = mean log(1 + theta z) (Grimshaw
    1993). That leaves one dimension to search: a coarse and two finer grids over log theta. theta
    -> 0 is the exponential distribution.
    """
    mean = float(excess.mean())
    grid = np.linspace(*_LOG_THETA, 97)
    for _ in range(2):  # refine around the best point of the grid
        best = _profile(excess / mean, grid).loss.argmin()
        grid = np.linspace(grid[max(best - 1, 0)], grid[min(best + 1, 96)], 97)
    profile = _profile(excess / mean, grid)
    best = profile.loss.argmin()
    if profile.loss[best] >= 0:  # no shape above 0 beats the exponential
        return Pareto(0.0, mean)
    return Pareto(
        float(profile.shape[best]), mean * float(profile.shape[best] / np.exp(grid[best]))
    )


class _Profile(NamedTuple):
    shape: Float[np.ndarray, " grid"]
    loss: Float[np.ndarray, " grid"]
    """Minus the mean log likelihood, above that of the exponential."""


def _profile(z: Float[np.ndarray, " n"], log_theta: Float[np.ndarray, " grid"]) -> _Profile:
    shape = np.log1p(np.exp(log_theta)[:, None] * z).mean(axis=1)
    return _Profile(shape, np.log(shape) - log_theta + shape)
