"""Which hypotheses of a language model may win: counted by the program, from the log, never by the
model.

1. It kept more predictions than it failed; void experiments count for neither.
2. A second look, which had not seen the reasoning behind it, has tested it.
3. The investigation did not end with "cannot explain".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..explainers.predictions import tally

if TYPE_CHECKING:
    from ..runlog.log import RunLog
    from .context import InvestigationContext

PROGRESS = 0.005
"""Rise of the best score on select that counts as progress: a tenth of the spread of other units' explanations."""


def eligible_hypotheses(log: RunLog, target: str) -> set[str]:
    """Ids of the hypotheses that may win."""
    moves = list(log.all("move", target).values())
    if moves and moves[-1]["cannot_explain"]:
        return set()
    looked = {move["look"] for move in moves if move.get("look") and move["experiments"]}
    outcomes = list(log.all("outcome", target).values())
    return {id for id in looked if _kept_more(tally(outcomes, id))}


def _kept_more(counts: tuple[int, int]) -> bool:
    won, lost = counts
    return won > lost


def no_progress(best: Sequence[float]) -> bool:
    """Whether two rounds in a row brought no progress on select."""
    return len(best) > 2 and max(best[-2:]) < max(best[:-2]) + PROGRESS


def reason_without_winner(room: InvestigationContext, target: str) -> str:
    """Why a language model's investigation ended without a winner; "" for other minds."""
    if not room.explainer.converses:
        return ""
    allowed = eligible_hypotheses(room.log, target)
    if allowed:
        return f"{', '.join(sorted(allowed))} held up, but without a predicate there is nothing to score"
    return "no hypothesis kept more predictions than it failed, a second look's among them"
