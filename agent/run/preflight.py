"""What is found out of a run's language models before anything is loaded or paid: keys, servers, names, prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...tools.errors import UsageError
from ..explainers import is_language_model
from ..llm.conversation import TokenUsage
from ..llm.prices import price_from
from .resources import settings_of

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
    from ..llm import preflight
    from ..llm.judges import check_judge, check_simulator

    readers = (
        (config.simulator, config.simulator_price, "simulator-"),
        (config.judge, config.judge_price, "judge-"),
    )
    check_dollars(
        (config.budget, config.target_budget), ((config.explainer, config.price, ""), *readers)
    )
    if config.simulator:
        check_simulator(config.simulator, config.simulator_base_url)
    if config.judge:
        check_judge(config.judge, config.judge_base_url)
    if not is_language_model(config.explainer):
        return config
    found = preflight(config.explainer, settings_of(config))
    return replace(config, tools=found.tools if config.tools == "auto" else config.tools)


def check_dollars(
    budgets: Sequence[Mapping[str, float]], asked: Sequence[tuple[str, Mapping[str, float], str]]
) -> None:
    """Raise UsageError for a limit in dollars on a language model whose price is not known.

    Args:
        asked: name, price, and what stands before `price` in the option that gives it.
    """
    if not any(budget.get("usd") for budget in budgets):
        return
    for name, price, option in asked:
        if is_language_model(name) and not price:
            raise UsageError(
                f"dollars of {name} cannot be limited without its price: give --{option}price input=..,output=.. "
                "(dollars a million tokens), or limit calls or tokens"
            )


def estimated_usd(config: RunConfig) -> float | None:
    """Dollars that a run may take, on the high side; None when no price of its language models is known."""
    parts = (
        (config.explainer, config.price, ESTIMATED),
        (config.simulator, config.simulator_price, SIMULATED * config.simulator_contexts),
        (config.judge, config.judge_price, JUDGED),
    )
    known = [
        price.of(tokens) or 0.0
        for name, given, tokens in parts
        if name and (price := price_from(given))
    ]
    return len(config.targets) * sum(known) if known else None
