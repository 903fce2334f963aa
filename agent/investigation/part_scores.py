"""What the parts of a formula are worth on select, for a language model to see while it can revise.

    meaning    r of the named concepts alone
    headline   r of those that the headline names (r@3)
    coverage   share of the strongest tokens at which one of these holds (P50@3)
    unseen     r of the whole formula over token types that explore never shows
    list       r of 24 tokens with weights fitted on explore, which is no explanation: the floor

The scorers are those of holdout (docs/contract.md), without their intervals. Where there is nothing to
score, such as `unseen` where every token was seen, the value is null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...evals.formula_parts import formula_parts
from ...evals.scorers.score_all import score_all
from ...evals.scorers.task import scoring_task
from ...tools.dissection import Predicate, TextView

if TYPE_CHECKING:
    from ...tools.subject.address import Unit
    from .split_data import SplitData

SCORERS = ("meaning", "headline", "coverage", "unseen", "list")


def part_scores(data: SplitData, unit: Unit, printed: str) -> dict[str, float | None]:
    """Scores of a printed predicate's parts on select."""
    select, predicate = data.collected("select"), Predicate.parse(printed)
    text = TextView(select.tokens, select.length, data.lexicon)
    task = scoring_task(
        unit,
        "select",
        select,
        data.collected("explore"),
        predicate.predict_text(text),
        parts=formula_parts(predicate, text),
    )
    outcomes = score_all(task, SCORERS)
    return {
        outcome.scorer: round(outcome.scores[0].value, 3) if outcome.scores else None
        for outcome in outcomes
    }
