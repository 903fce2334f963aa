"""What judging explanations may cost, before anything is paid."""

from __future__ import annotations

from ..llm.prices import price_of
from ..run.preflight import DETECTION, SIMULATED_CONTEXT
from .plan import RescoringPlan

SIMULATION = "llm_simulation"
JUDGED = frozenset(
    {
        "detection",
        "discrimination",
        "fuzzing",
        "generative",
        "intervention",
        "intruder",
        "purity",
    }
)
"""Scorers that ask the judge; none asks much more than a detection."""
SIMULATED_CONTEXTS = 35
"""Contexts that `llm_simulation` asks about: 30 at random and the 5 strongest."""
SPLITS = 2
"""Select and holdout."""


def estimated_usd(plan: RescoringPlan, n_targets: int) -> float | None:
    """Dollars at the high end, if nothing was answered before; None without a known price."""
    simulator = plan.simulator if plan.simulator.name else plan.judge
    n_judged = len(JUDGED.intersection(plan.scorers))
    n_contexts = SIMULATED_CONTEXTS * (SIMULATION in plan.scorers)
    usage = (
        (price_of(plan.judge, batch=plan.batch), DETECTION * (SPLITS * n_judged)),
        (price_of(simulator, batch=plan.batch), SIMULATED_CONTEXT * (SPLITS * n_contexts)),
    )
    usd = [price.of(tokens) or 0.0 for price, tokens in usage if price]
    return n_targets * sum(usd) if usd else None
