"""Check a run's language models before anything is loaded or paid: keys, servers, names, prices."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..llm.conversation import TokenUsage
from ..llm.prices import check_dollars, price_from

if TYPE_CHECKING:
    from ..llm.meter import Checks
    from ..runlog.config import RunConfig

INVESTIGATION = TokenUsage(input=40_000, output=8_000, cache_read=24_000)
"""Tokens of one investigation, at the high end: the largest prompt that tests allow, and a model
that thinks."""
SIMULATED_CONTEXT = TokenUsage(input=700, output=800)
"""Tokens of one context that a simulator predicts, with its share of the prompt's fixed part."""
DETECTION = TokenUsage(input=6_000, output=1_000)
"""Tokens of one detection with 100 windows."""


def check_model(config: RunConfig, checks: Checks | None = None) -> RunConfig:
    """Check that a run's language models can be asked and its budget can be kept.

    Args:
        checks: keeps the requests that are sent, which count within the configuration's budget.

    Returns:
        The configuration with the way in which the explainer calls tools.

    Raises:
        UsageError: no key, an unknown model, or a limit in dollars without a known price.
        UnavailableError: the server does not answer.
        BudgetReached: the checks have used the budget up.
    """
    from ..llm import check_explainer
    from ..llm.budget import Budget
    from ..llm.judges import check_judge, check_simulator
    from ..llm.meter import Checks

    check_dollars(
        config.budget,
        {"": config.explainer, "simulator-": config.simulator, "judge-": config.judge},
    )
    checks = checks or Checks()
    checks.budget = Budget(config.budget)
    if config.simulator.name:
        check_simulator(config.simulator, checks)
    if config.judge.name:
        check_judge(config.judge, checks)
    if not config.explainer.is_language_model:
        return config
    return replace(config, explainer=check_explainer(config.explainer, checks))


def estimated_usd(config: RunConfig) -> float | None:
    """What a run may cost, at the high end; None if none of its models has a known price."""
    usage = (
        (config.explainer, INVESTIGATION),
        (config.simulator, SIMULATED_CONTEXT * config.simulator_contexts),
        (config.judge, DETECTION),
    )
    prices = [(price_from(model.price), tokens) for model, tokens in usage if model.name]
    usd = [price.of(tokens) or 0.0 for price, tokens in prices if price]
    return len(config.targets) * sum(usd) if usd else None
