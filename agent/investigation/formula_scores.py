"""How well a printed predicate predicts a target: its score on explore or select, and its errors.

A formula that a person or a model wrote may fail to run. On explore this is an answer to its
author (`ExploreFit.problem`), never a failure of the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...evals.statistics.correlation import pearson
from ...evals.statistics.sample import Sample
from ...tools.dissection import Predicate, TextView, fit_grades, term_contributions
from ...tools.dissection.grammar import parse_concept
from ...tools.errors import UsageError
from ..explainers.protocol import ExploreFit, GradedPredicate
from ..runlog.lexicon import predict
from .worst_errors import missed_tokens, worst_passages

if TYPE_CHECKING:
    import numpy as np

    from ...tools.subject.address import Unit
    from ..explainers.protocol import TargetData
    from ..runlog.log import Data
    from .context import InvestigationContext

FORMULA_ERRORS = (UsageError, TypeError, ValueError, OverflowError, RecursionError)
"""What a formula written by a person or a model can raise when it is run."""


def score_formula(data: TargetData, printed: str) -> tuple[float, list[Data]]:
    """Pearson r of a predicate with a target's signal, and the passages where it is most wrong."""
    return _score(data, predict(printed, data.lexicon, data.tokens, data.length))


def fit_on_explore(context: InvestigationContext, unit: Unit, printed: str) -> ExploreFit:
    """How a predicate does on explore. Journaled, so that a replay gives the same answer.

    A replay has a frozen lexicon, which may be unable to run a formula that was not accepted.
    """

    def compute() -> Data:
        data = context.data.of(unit, "explore")
        try:
            predicate = Predicate.parse(printed)
            text = TextView(data.tokens, data.length, data.lexicon)
            predicted = predicate.predict_text(text)
            score, worst = _score(data, predicted)
            worth = term_contributions(predicate, text, data.signal, data.mask)
            missed = missed_tokens(data, predicted)
        except FORMULA_ERRORS as error:
            return {"score": None, "worst": [], "problem": str(error)}
        rounded = [round(value, 3) for value in worth]
        return {"score": score, "worst": worst, "problem": "", "worth": rounded, "missed": missed}

    fit = context.journal.answer("fit", str(unit), {"predicate": printed}, compute)
    lists = {name: tuple(fit.get(name, ())) for name in ("worst", "worth", "missed")}
    return ExploreFit(score=fit["score"], problem=fit["problem"], **lists)


def sentence_of(context: InvestigationContext, unit: Unit, printed: str) -> str:
    """A predicate in English. Journaled: later versions may word it in another way."""

    def compute() -> Data:
        return {"sentence": Predicate.parse(printed).sentence(unit.side)}

    request = {"sentence_of": printed}
    return context.journal.answer("fit", str(unit), request, compute)["sentence"]


def grade_on_explore(
    context: InvestigationContext, unit: Unit, concepts: tuple[str, ...]
) -> GradedPredicate:
    """The best grades on explore for concepts that an explainer named. Journaled like a fit."""

    def compute() -> Data:
        data = context.data.of(unit, "explore")
        try:
            text = TextView(data.tokens, data.length, data.lexicon)
            parsed = [parse_concept(concept) for concept in concepts]
            graded = fit_grades(parsed, text, data.signal, data.mask)
        except FORMULA_ERRORS as error:
            return {"predicate": "", "problem": str(error)}
        omitted = ", ".join(concept.to_text() for concept in graded.left_out)
        left_out = f"{omitted}, worth least ({graded.why})" if omitted else ""
        return {"predicate": graded.predicate.to_text(), "problem": "", "left_out": left_out}

    request = {"concepts": list(concepts)}
    return GradedPredicate(**context.journal.answer("grades", str(unit), request, compute))


def _score(data: TargetData, predicted: np.ndarray) -> tuple[float, list[Data]]:
    r = pearson(Sample(predicted, data.signal, data.mask, data.document))
    return r, worst_passages(data, predicted)
