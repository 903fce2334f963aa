"""Step 4, select: every hypothesis is scored on the select split, and the best eligible one wins.

The score and the worst errors go to the log as `feedback`; the explainer sees nothing else of
select.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ...tools.dissection import Predicate
from ..runlog.config import SINCE_PARTS
from .formula_scores import score_formula
from .part_scores import part_scores
from .sentence_scores import simulate_on_select

if TYPE_CHECKING:
    from ...tools.subject.address import Unit
    from ..explainers.protocol import Hypothesis
    from ..runlog.log import Data
    from .context import InvestigationContext


LIST_MARGIN = 0.03
"""r on select that a bare list must be better by: it says nothing about words that were not seen."""


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

    A bare list of tokens wins only if it is better by more than LIST_MARGIN.

    Args:
        eligible: ids of the hypotheses that may win.
    """
    best = Selection("", 0.0)
    advantage = 0.0
    for hypothesis in hypotheses:
        score = score_on_select(context, unit, hypothesis)
        if score is None or hypothesis.id not in eligible:
            continue
        means_something = not _is_list(context, hypothesis)
        margin = LIST_MARGIN * means_something
        if not best.winner or score + margin > best.score + advantage:
            best, advantage = Selection(hypothesis.id, score), margin
    return best


def _is_list(context: InvestigationContext, hypothesis: Hypothesis) -> bool:
    """Whether a formula names no concept. In runs before parts were told apart, none counts as one."""
    if hypothesis.predicate is None or context.config.definitions < SINCE_PARTS:
        return False
    return not Predicate.parse(hypothesis.predicate).meaning().terms


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
        feedback["parts"] = part_scores(context.data, unit, hypothesis.predicate)
    context.log.write("feedback", feedback, target=str(unit), id=hypothesis.id)
    return score
