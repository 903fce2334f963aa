"""What is measured of one explanation on held-out text: the scores of a run, and what verdicts rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from ...evals.formula_parts import formula_parts
from ...evals.scorers.registry import FORMULA_SCORERS
from ...evals.scorers.score_all import score_all
from ...evals.scorers.simulation import evidence_for_verdict, score_simulation
from ...evals.scorers.task import scoring_task
from ...evals.tier import TierScores
from ...evals.verdict import TargetResult, Verdict, decide_verdicts
from ...tools.dissection import Lexicon, Predicate, TextView
from ...tools.index import Collected
from ...tools.subject.address import Unit

Figures = Mapping[str, float | None]
"""By name; None where there is nothing to measure."""


@dataclass(frozen=True)
class HeldOutText:
    """Explore and holdout, with what all targets share."""

    explore: Collected
    holdout: Collected
    lexicon: Lexicon

    @cached_property
    def text(self) -> TextView:
        return TextView(self.holdout.tokens, self.holdout.length, self.lexicon)

    def predicted(self, predicate: Predicate) -> Float[np.ndarray, " token"]:
        """What a formula predicts at the tokens that count."""
        return predicate.predict_text(self.text)[self.holdout.mask].astype(np.float64)


def figures_of(text: HeldOutText, unit: Unit, predicate: Predicate, seed: int) -> Figures:
    """All figures of a target's explanation."""
    task = scoring_task(
        unit,
        "holdout",
        text.holdout,
        text.explore,
        predicate.predict_text(text.text),
        parts=formula_parts(predicate, text.text),
        seed=seed,
    )
    simulated = score_simulation(task)
    evidence = evidence_for_verdict(task)
    outcomes = score_all(task, FORMULA_SCORERS)
    over_list, meaning_over_list = evidence.over_list, evidence.meaning_over_list
    return {
        "r": simulated.value,
        "low": simulated.low,
        "high": simulated.high,
        "list": simulated.floors.list,
        **{outcome.scorer: outcome.value for outcome in outcomes},
        "named": len(predicate.meaning().terms),
        "listed": len(predicate.literals()),
        "bits": predicate.bits(),
        "p": evidence.p,
        "over_trivial_low": evidence.over_trivial.low,
        "active_documents": evidence.active_documents,
        "over_list": over_list.value if over_list else None,
        "over_list_low": over_list.low if over_list else None,
        "meaning_over_list": meaning_over_list.value if meaning_over_list else None,
    }


def verdicts_of(targets: Sequence[str], figures: Sequence[Figures]) -> list[Verdict]:
    """The verdicts and tiers that one run of these targets would have."""
    return decide_verdicts([_result(*pair) for pair in zip(targets, figures, strict=True)])


def _result(target: str, figures: Figures) -> TargetResult:
    over_list = figures["over_list"]
    tier_scores = TierScores(
        over_list=0.0 if over_list is None else over_list,
        over_list_low=figures["over_list_low"],
        meaning_over_list=figures["meaning_over_list"],
        headline=figures["headline"],
        coverage=figures["coverage"],
        strength=figures["strength"],
    )
    return TargetResult(
        target,
        value=figures["r"],
        low=figures["low"],
        high=figures["high"],
        p=figures["p"],
        over_trivial=figures["over_trivial_low"],
        active_documents=int(figures["active_documents"] or 0),
        tier_scores=tier_scores,
    )
