"""Explains one signal without a run: the same explainer and the same choice, but no experiments.

1. The explainer moves once on explore.
2. Every hypothesis with a predicate is simulated on select; the best one wins, the first of equals.

Experiments never decide what an explainer without a language model concludes, so that the winner is
the one that a run would have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...evals.statistics.correlation import pearson
from ...evals.statistics.sample import Sample
from ...tools.dissection import Predicate, TextView
from ..explainers.protocol import InvestigationView
from ..runlog.config import target_seed

if TYPE_CHECKING:
    from ...tools.subject.address import Unit
    from ..explainers.protocol import Explainer, Hypothesis, TargetData


def explain_alone(
    explainer: Explainer,
    unit: Unit,
    explore: TargetData,
    select: TargetData,
    select_text: TextView,
    seed: int,
) -> Hypothesis | None:
    """The hypothesis that wins on select; None if there is none with a predicate.

    Args:
        select_text: the text of select, which many signals share.
        seed: of the run.
    """
    view = InvestigationView(
        unit=unit,
        round=0,
        moves=0,
        seed=target_seed(seed, str(unit)),
        observation={},
        explore=lambda: explore,
    )
    best: tuple[float, Hypothesis] | None = None
    for hypothesis in explainer.move(view).hypotheses:
        if hypothesis.predicate is None:
            continue
        predicted = Predicate.parse(hypothesis.predicate).predict_text(select_text)
        r = pearson(Sample(predicted, select.signal, select.mask, select.document))
        if best is None or r > best[0]:
            best = r, hypothesis
    return best[1] if best else None
