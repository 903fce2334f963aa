"""List: what the 24 best tokens with fitted weights score by themselves (the floor *list*).

Every score of a formula has this figure among its floors. Here it is a separate score, with an
interval, for a target that has no formula: how far a bare list comes where nothing was explained.
"""

from __future__ import annotations

from ..floors import restricted_floors
from ..score import Score
from ..statistics.bootstrap import bootstrap_r
from .registry import ScoringTask, scorer
from .resources import unscorable_without


@scorer("list")
def token_list(task: ScoringTask) -> list[Score]:
    """r of the floor *list*."""
    predicted = task.floor_predictions.token_list
    if predicted is None:
        raise unscorable_without("a list of tokens fitted on explore")
    sample = task.sample.with_prediction(predicted)
    floors = restricted_floors(sample, task.floor_predictions)
    return [Score("list", task.split, "random", *bootstrap_r(sample, task.seed), floors)]
