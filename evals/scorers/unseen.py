"""Does an explanation say anything about words that it was not fitted on?

Pearson r over the tokens of the split (but position 0) whose type explore, where it counts,

- `unseen`: never showed;
- `rare`: showed at most twice, the unseen ones among them.

A list of tokens predicts a constant on the unseen ones and scores 0; so does the token lookup. A
split without such tokens has no score.
"""

from __future__ import annotations

from dataclasses import replace

from ..floors import restricted_floors
from ..judge.protocol import Unscorable
from ..score import Score
from ..statistics.bootstrap import bootstrap_r
from .registry import ScoringTask, scorer
from .resources import unscorable_without

RARE = 2
"""Times at most that explore has a rare token."""


@scorer("unseen")
def unseen(task: ScoringTask) -> list[Score]:
    """r over token types that explore never showed."""
    return [_score("unseen", task, 0)]


@scorer("rare")
def rare(task: ScoringTask) -> list[Score]:
    """r over token types that explore showed at most twice."""
    return [_score("rare", task, RARE)]


def _score(name: str, task: ScoringTask, most: int) -> Score:
    sample = task.require_prediction()
    if task.seen is None:
        raise unscorable_without("how often explore has each token")
    mask = sample.mask & (task.seen <= most)
    if not mask.any():
        raise Unscorable(f"the split has no token that explore has at most {most} times")
    sample = replace(sample, mask=mask)
    floors = restricted_floors(sample, task.floor_predictions)
    return Score(name, task.split, "random", *bootstrap_r(sample, task.seed), floors)
