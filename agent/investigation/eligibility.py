"""Which hypotheses of a language model may win. The program counts from the log, not the model.

A hypothesis may win if:

1. It kept more predictions than it failed; void experiments count for neither. A revision counts
   those of its parent's whose predictions follow from it too.
2. A second look has tested it, which had not seen the reasoning that led to it.
3. The investigation did not end with "cannot explain".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..explainers.predictions import tally

if TYPE_CHECKING:
    from ..runlog.log import RunLog

PROGRESS = 0.005
"""Rise of the best score on select that counts as progress: a tenth of the standard deviation of
other units' explanations."""


def eligible_hypotheses(log: RunLog, target: str) -> set[str]:
    """Ids of the hypotheses that may win."""
    moves = list(log.all("move", target).values())
    if moves and moves[-1]["cannot_explain"]:
        return set()
    tested = {move["look"] for move in moves if move.get("look") and move["experiments"]}
    outcomes = list(log.all("outcome", target).values())
    hypotheses = log.all("hypothesis", target)
    tallies = {
        id: tally(outcomes, id, hypotheses.get(id, {}).get("inherited", ())) for id in tested
    }
    return {id for id, (kept, failed) in tallies.items() if kept > failed}


def reason_without_winner(log: RunLog, target: str) -> str:
    """Why a language model's investigation ended without a winner."""
    eligible = eligible_hypotheses(log, target)
    if eligible:
        names = ", ".join(sorted(eligible))
        return f"{names} held up, but without a predicate there is nothing to score"
    return "no hypothesis kept more predictions than it failed, a second look's among them"


def no_progress(best: Sequence[float]) -> bool:
    """Whether the last two rounds brought no progress on select.

    Args:
        best: the best score on select after each round.
    """
    return len(best) > 2 and max(best[-2:]) < max(best[:-2]) + PROGRESS
