"""Has a stream of numbers moved away from a baseline? A test that may be looked at after every text.

1. Each channel's new score is ranked among the baseline's and all scores of the stream so far, ties
   broken at random. While scores are exchangeable these ranks, as shares p, are independent and
   uniform (Vovk, Gammerman and Shafer 2005, theorem 8.2), whatever the distribution of the scores.
2. A gambler bets against uniform p with capital 1: on small p (scores that rise) and on small 1 - p
   (scores that fall), by multiplying a stake with k p^(k-1) for each k of `EXPONENTS`. The expected
   factor is 1, so that the capital is a martingale.
3. Drift may begin late. At text t the share 1 / (t (t + 1)) of the first capital is staked and from
   then on stays in its bets; 1 / (t + 1) is still in the pocket. So a drift that begins at text t
   costs log(t^2) nats of evidence, and no stretch of calm can ruin the gambler.
4. By Ville's inequality the capital ever reaches c with probability 1 / c at most. With K channels an
   alarm is raised at K / alpha (Bonferroni): the chance of any false alarm, over a stream of any
   length and however often it is looked at, is at most alpha.

Betting against conformal p-values: Vovk, Nouretdinov and Gammerman, "Testing exchangeability
on-line" (2003); Vovk et al., "Retrain or not retrain" (2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from jaxtyping import Float

from ..errors import UsageError

EXPONENTS = (0.2, 0.5)
"""A small exponent earns most from extreme scores, a larger one from many that are a little off."""
FEWEST_BASELINE = 20
"""Texts. The test is valid with fewer, but p cannot be below 1 / (n + 1), so nothing would alarm."""
FALSE_ALARMS = 0.01


@dataclass(frozen=True)
class Alarm:
    """A channel whose capital reached the threshold.

    Attributes:
        channel: its number; `at`: the text of the stream, counted from 1, at which it did.
        rises: whether the scores went up; otherwise they went down.
    """

    channel: int
    at: int
    rises: bool


class DriftTest:
    """The sequential test of one stream against one baseline.

    Attributes:
        seen: texts of the stream so far.
        alarms: the first alarm of each channel that raised one, in order.
        threshold: nats of evidence (log capital) at which a channel alarms.
    """

    def __init__(
        self,
        baseline: Float[np.ndarray, "text channel"],
        false_alarms: float = FALSE_ALARMS,
        seed: int = 0,
    ) -> None:
        """Start with a baseline.

        Raises:
            UsageError: too few texts, no channel, numbers that are not finite, or a rate that is
                not between 0 and 1.
        """
        baseline = np.asarray(baseline, dtype=np.float64)
        _check(baseline, false_alarms)
        n, channels = baseline.shape
        self._scores = baseline.copy()
        self._used = n
        self._rng = np.random.default_rng(seed)
        # log of the stakes in each bet: on p with each exponent, then on 1 - p
        self._stakes = np.full((channels, 2 * len(EXPONENTS)), -np.inf)
        self.seen = 0
        self.alarms: list[Alarm] = []
        self.threshold = log(channels / false_alarms)

    @property
    def evidence(self) -> Float[np.ndarray, " channel"]:
        """Log capital of each channel, nats; 0 at the start."""
        pocket = -np.log(self.seen + 1)
        return np.logaddexp(pocket, np.logaddexp.reduce(self._stakes, axis=1))

    def update(self, scores: Sequence[float] | Float[np.ndarray, " channel"]) -> list[Alarm]:
        """Take in a text's scores; returns the alarms that it raises.

        Raises:
            UsageError: another number of channels, or a number that is not finite.
        """
        new = np.asarray(scores, dtype=np.float64)
        if new.shape != self._scores.shape[1:] or not np.isfinite(new).all():
            raise UsageError(
                f"scores of shape {new.shape} given; expected {self._scores.shape[1]} finite "
                "numbers, one for each channel of the baseline"
            )
        self._append(new)
        self.seen += 1
        self._bet(self._shares(new))
        return self._raise_alarms()

    def _append(self, new: Float[np.ndarray, " channel"]) -> None:
        if self._used == len(self._scores):
            grown = np.empty((2 * self._used, self._scores.shape[1]))
            grown[: self._used] = self._scores
            self._scores = grown
        self._scores[self._used] = new
        self._used += 1

    def _shares(self, new: Float[np.ndarray, " channel"]) -> Float[np.ndarray, " channel"]:
        """p of each channel: small where the new score is among the largest."""
        scores = self._scores[: self._used]
        larger, equal = (scores > new).sum(axis=0), (scores == new).sum(axis=0)
        return (larger + (1 - self._rng.random(len(new))) * equal) / self._used

    def _bet(self, p: Float[np.ndarray, " channel"]) -> None:
        stake = -np.log(self.seen * (self.seen + 1) * self._stakes.shape[1])
        self._stakes = np.logaddexp(self._stakes, stake) + log_factors(p)

    def _raise_alarms(self) -> list[Alarm]:
        over = np.flatnonzero(self.evidence >= self.threshold).tolist()
        known = {alarm.channel for alarm in self.alarms}
        rises = self._stakes.argmax(axis=1) < len(EXPONENTS)
        new = [Alarm(k, self.seen, bool(rises[k])) for k in over if k not in known]
        self.alarms += new
        return new


def log_factors(p: Float[np.ndarray, " channel"]) -> Float[np.ndarray, "channel bet"]:
    """By what each bet multiplies its stake, in nats: on p with each exponent, then on 1 - p."""
    tails = np.log(np.stack([p, np.maximum(1 - p, np.finfo(float).tiny)], axis=1))
    factors = [log(k) + (k - 1) * tails for k in EXPONENTS]  # channel tail, for each exponent
    return np.concatenate([np.stack(factors, axis=2)[:, tail] for tail in (0, 1)], axis=1)


def _check(baseline: Float[np.ndarray, "text channel"], false_alarms: float) -> None:
    if baseline.ndim != 2 or not baseline.shape[1] or not np.isfinite(baseline).all():
        raise UsageError(
            f"a baseline of shape {baseline.shape} given; expected finite numbers, one row a text "
            "and one column a channel"
        )
    if len(baseline) < FEWEST_BASELINE:
        raise UsageError(
            f"a baseline of {len(baseline)} texts given; expected at least {FEWEST_BASELINE}, and "
            "200 or more to notice a drift soon: make it from more texts"
        )
    if not 0 < false_alarms < 1:
        raise UsageError(
            f"a false-alarm rate of {false_alarms} given; expected a chance between 0 and 1, "
            "such as 0.01"
        )
