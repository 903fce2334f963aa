"""Which of a hypothesis' experiments also test its revision: those whose prediction follows from it.

1. The revised predicate is run on the experiment's text, as the instrument cut it into tokens.
2. It *fires* there on a side if it adds, somewhere in the part that is read, at least SHARE of its
   strongest concept on that side; else it is quiet.
3. `fires`, and bounds above the firing level, follow from a formula that fires; `silent`, and bounds
   below it, from one that is quiet; `greater` from one that adds more on text A than on text B.
   Effects of the unit follow from no formula.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...tools.dissection import Predicate, TextView
from ..explainers.predictions import FIRING
from .formula_scores import FORMULA_ERRORS

if TYPE_CHECKING:
    from ...tools.subject.address import Unit
    from ..explainers.protocol import Experiment, Passage
    from ..runlog.log import Data
    from .context import InvestigationContext

SHARE = 0.25
"""Of the strongest concept's weight; weaker concepts of a formula are two grades below it or more."""
READER = "activations.on_text"


def predictions_that_follow(
    context: InvestigationContext, unit: Unit, printed: str, experiments: Sequence[Experiment]
) -> list[bool]:
    """Whether each prediction follows from a printed predicate. Journaled, since a replay may lack
    what new texts need."""

    def compute() -> Data:
        try:
            predicate = Predicate.parse(printed)
            rows = _tokenized(context, unit)
            follow = [_follows(context, unit, predicate, planned, rows) for planned in experiments]
        except FORMULA_ERRORS:
            follow = [False] * len(experiments)
        return {"follow": follow}

    request = {"predicate": printed, "experiments": [planned.id for planned in experiments]}
    return context.journal.answer("follows", str(unit), request, compute)["follow"]


def _tokenized(context: InvestigationContext, unit: Unit) -> dict[str, Mapping[str, Any]]:
    """The texts that the unit was read on: tokens and offsets, by text."""
    rows: dict[str, Mapping[str, Any]] = {}
    for call in context.log.all("call", str(unit)).values():
        answer = call["answer"].get("result") or {}
        if call["request"]["instrument"] == READER:
            rows |= {row["text"]: row for row in answer.get("texts", ())}
    return rows


def _follows(
    context: InvestigationContext,
    unit: Unit,
    predicate: Predicate,
    planned: Experiment,
    rows: Mapping[str, Mapping[str, Any]],
) -> bool:
    if planned.quantity not in ("max", "mean") or not all(text in rows for text in planned.texts):
        return False
    sign = -1 if planned.side == "-" else 1

    def added(passage: Passage) -> float:
        """The most that the formula adds on the side, in steps, within what is read."""
        row = rows[passage.text]
        start, end = passage.span or (0, len(passage.text))
        read = [i > 0 and a < end and b > start for i, (a, b) in enumerate(row["offsets"])]
        steps = sign * _steps(context, predicate, row["tokens"])[read]
        return float(steps.max()) if len(steps) else 0.0

    on_text = added(planned.passage)
    if planned.relation == "greater" and planned.other is not None:
        return on_text > added(planned.other)
    weights = [sign * term.weight for term in predicate.terms]
    strongest = max([*weights, *(sign * token.weight for token in predicate.listed)], default=0)
    fires = strongest > 0 and on_text >= SHARE * strongest
    if planned.relation == "within":
        low, high = planned.bounds or (0.0, 0.0)
        level = context.data.thresholds(unit, planned.side).fires(FIRING)
        return fires if low >= level else not fires and high < level
    return fires == (planned.relation == "fires")


def _steps(
    context: InvestigationContext, predicate: Predicate, tokens: Sequence[str]
) -> np.ndarray:
    """What a formula adds at each token of a text, in steps."""
    lexicon = context.data.lexicon
    ids = lexicon.memo("id of a string", lambda: {s: i for i, s in enumerate(lexicon.strings)})
    row = np.array([[ids.get(token, 0) for token in tokens]])
    predicted = predicate.predict_text(TextView(row, np.array([len(tokens)]), lexicon))[0]
    return (predicted - predicate.rest) / predicate.step
