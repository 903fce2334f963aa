"""Step 4, select: every hypothesis is scored on the select split, and the best eligible one wins.

The score and the worst errors go to the log as `feedback`; the explainer sees nothing else of
select.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from .formula_scores import score_formula
from .part_scores import part_scores
from .sentence_scores import simulate_on_select

if TYPE_CHECKING:
    from ...tools.subject.address import Unit
    from ..explainers.protocol import Hypothesis
    from ..runlog.log import Data
    from .context import InvestigationContext


class Selection(NamedTuple):
    """The winner of a round, "" if there is none, and its score on select."""

    winner: str
    score: float


def select_winner(
    context: InvestigationContext,
    unit: Unit,
    hypotheses: Sequence[Hypothesis],
    eligible: Collection[str],
) -> Selection:
    """Score all hypotheses and choose the best of those that may win; the first one of equals.

    Args:
        eligible: ids of the hypotheses that may win.
    """
    scores = {h.id: score_on_select(context, unit, h) for h in hypotheses}
    best = Selection("", 0.0)
    for id, score in scores.items():
        if score is not None and id in eligible and (not best.winner or score > best.score):
            best = Selection(id, score)
    return best


def score_on_select(
    context: InvestigationContext, unit: Unit, hypothesis: Hypothesis
) -> float | None:
    """The score of one hypothesis on select, logged with its worst errors.

    None for a claim in words only, if there is no simulator to read it or it failed.
    """
    if hypothesis.predicate is None:
        return simulate_on_select(context, unit, hypothesis)
    score, worst = score_formula(context.data.of(unit, "select"), hypothesis.predicate)
    feedback: Data = {"score": score, "worst": worst}
    if context.config.explainer.model:  # a search does not revise
        explore, select = (context.data.of(unit, split) for split in ("explore", "select"))
        feedback["parts"] = part_scores(explore, select, hypothesis.predicate)
    context.log.write("feedback", feedback, target=str(unit), id=hypothesis.id)
    return score
