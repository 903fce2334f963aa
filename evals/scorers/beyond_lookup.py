"""Beyond lookup: what does an explanation know that a table of tokens does not?

The partial correlation of prediction x and signal y given the floor *token_lookup* z (mean activation
by token on explore), over every token of the split but position 0:

    (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2) (1 - r_yz^2))

It is the correlation of what is left of x and of y after a regression on z. A prediction that the
lookup gives already (r_xz of 1 or -1) scores 0, a constant too, as does a signal that the lookup gives
exactly.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ..floors import Prediction
from ..score import Floors, Score
from ..statistics.bootstrap import Interval, bootstrap
from ..statistics.correlation import group_sums, pearson_from_moments, standardise
from ..statistics.sample import Sample
from .registry import ScoringTask, scorer
from .resources import unscorable_without

SMALLEST = 1e-9
"""A share of the variance that the lookup leaves below this is rounding: predictions are float32."""
_PAIRS = {"xy": (1, 2, 4, 5, 7), "xz": (1, 3, 4, 6, 8), "yz": (2, 3, 5, 6, 9)}
"""Where the sums of a pair are among those of all three (the first is the count)."""


@scorer("beyond_lookup")
def beyond_lookup(task: ScoringTask) -> list[Score]:
    """Partial r of prediction and signal given the token lookup."""
    sample, floors = task.require_prediction(), task.floor_predictions
    lookup = floors.token_lookup
    if lookup is None:
        raise unscorable_without("the token lookup of explore")
    value = partial_r(sample, lookup, task.seed)
    listed = floors.token_list
    row = Floors(
        chance=0.0,
        token_lookup=0.0,
        list=None
        if listed is None
        else partial_r(sample.with_prediction(listed), lookup, task.seed).value,
    )
    return [Score("beyond_lookup", task.split, "random", *value, row)]


def partial_r(sample: Sample, given: Prediction, seed: int = 0) -> Interval:
    """Partial r of the sample's prediction and signal given another prediction, with its interval."""
    x, y, z = (
        standardise(np.where(sample.mask, values, 0.0), sample.mask)
        for values in (sample.predicted, sample.true, given)
    )
    ones = sample.mask.astype(np.float64)
    terms = (ones, x, y, z, x * x, y * y, z * z, x * y, x * z, y * z)
    rows = np.stack([term.sum(axis=1) for term in terms], axis=1)
    usable = sample.mask.any(axis=1)
    sums = group_sums(rows[usable], sample.unit[usable])
    return bootstrap(sums, _partial, seed, sample.resampling.interval)


def _partial(sums: Float[np.ndarray, "*shape 10"]) -> Float[np.ndarray, "*shape"]:
    r = {pair: pearson_from_moments(sums[..., [0, *columns]]) for pair, columns in _PAIRS.items()}
    left_x, left_y = 1 - r["xz"] ** 2, 1 - r["yz"] ** 2
    is_left = (left_x > SMALLEST) & (left_y > SMALLEST)
    scale = np.sqrt(np.where(is_left, left_x * left_y, 1.0))
    partial = np.clip((r["xy"] - r["xz"] * r["yz"]) / scale, -1.0, 1.0)
    return np.where(is_left, partial, 0.0)
