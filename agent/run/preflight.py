"""What is found out of a run's language models before anything is loaded or paid: keys, servers, names, prices."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..llm.conversation import TokenUsage
from ..llm.prices import check_dollars, price_from

if TYPE_CHECKING:
    from ..runlog.config import RunConfig

ESTIMATED = TokenUsage(input=40_000, output=8_000, cache_read=24_000)
"""Tokens of one investigation, on the high side: the prompt's limit under test, and replies of a model that thinks."""
SIMULATED = TokenUsage(input=700, output=800)
"""Of one context that a simulator predicts, the mix's own and the prompt's fixed part counted in."""
JUDGED = TokenUsage(input=6_000, output=1_000)
"""Of one detection with 100 windows."""


def check_model(config: RunConfig) -> RunConfig:
    """Find out whether a run's language model can be asked and how it calls tools, and whether its
    budget can be held.

    Raises:
        UsageError: no key, an unknown model, or a limit in dollars for a model without a known price.
        UnavailableError: no server.
    """
    from ..llm import check_explainer
    from ..llm.judges import check_judge, check_simulator

    check_dollars(
        config.budget,
        {"": config.explainer, "simulator-": config.simulator, "judge-": config.judge},
    )
    if config.simulator.name:
        check_simulator(config.simulator)
    if config.judge.name:
        check_judge(config.judge)
    if not config.explainer.is_language_model:
        return config
    return replace(config, explainer=check_explainer(config.explainer))


def estimated_usd(config: RunConfig) -> float | None:
    """Dollars that a run may take, on the high side; None when no price of its language models is known."""
    parts = (
        (config.explainer, ESTIMATED),
        (config.simulator, SIMULATED * config.simulator_contexts),
        (config.judge, JUDGED),
    )
    usd = [
        price.of(tokens) or 0.0
        for model, tokens in parts
        if model.name and (price := price_from(model.price))
    ]
    return len(config.targets) * sum(usd) if usd else None
