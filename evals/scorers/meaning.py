"""What the named concepts of a formula are worth without the tokens that it lists.

- `meaning`: Pearson r of the named concepts alone (`Predicate.meaning`). A named concept is a rule
  that also decides words which explore never showed. This is the headline number.
- `headline` (r@3): of the three first of them alone (`Predicate.headline`). Terms are in the order of
  their evidence on explore.

Both on every token of the split but position 0, with the weights that the whole formula has; without
any such concept the prediction is constant, and scores 0.
"""

from __future__ import annotations

from ..floors import Prediction, restricted_floors
from ..score import Score
from ..statistics.bootstrap import bootstrap_r
from .registry import ScoringTask, scorer


@scorer("meaning")
def meaning(task: ScoringTask) -> list[Score]:
    """r of the named concepts alone."""
    return [_score("meaning", task, task.require_parts().meaning)]


@scorer("headline")
def headline(task: ScoringTask) -> list[Score]:
    """r of the three first named concepts alone."""
    return [_score("headline", task, task.require_parts().headline)]


def _score(name: str, task: ScoringTask, predicted: Prediction) -> Score:
    sample = task.sample.with_prediction(predicted)
    floors = restricted_floors(sample, task.floor_predictions)
    return Score(name, task.split, "random", *bootstrap_r(sample, task.seed), floors)
